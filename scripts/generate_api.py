"""Make the typed Python API, and the compact form of the manifest, from ``skill.yaml``, the schemas of its actions and the error codes.

``python scripts/generate_api.py`` writes ``results``, ``inputs``, ``exceptions``, ``client`` and ``async_client`` in
``netclaw_opencode/api/``, and the exports of ``netclaw_opencode/__init__.py``. ``--check`` only says whether they are up to date (exit
code 1: they are not). The compact form (``netclaw_opencode/manifest/compact/*.json``) is what the command reads at each start.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from netclaw_opencode._core.documents import read_yaml  # noqa: E402 - the checkout beside this file
from netclaw_opencode.manifest import ActionEntry, Manifest, compact, load_manifest  # noqa: E402
from scripts.api_classes import MADE, Classes, camel, items, properties, quoted, required  # noqa: E402
from scripts.api_errors import error_name, exceptions  # noqa: E402
from scripts.api_results import PACKAGE, is_generic, modules, result_name  # noqa: E402

API = ROOT / "netclaw_opencode" / "api"
RESULTS = API / "results"
TOP = ROOT / "netclaw_opencode" / "__init__.py"
BEGIN, END = "# --- made by scripts/generate_api.py\n", "# --- end of what is made\n"

# What the schemas cannot say.
PATHS = {"directory", "record"}
STREAMS = {"run_task": "stream_task", "run_plan_and_implement": "stream_plan_and_implement", "send_message": "stream_message"}

BATCHES = ("run_batch",)
"""Followed task by task: awaited or iterated by a program with an event loop, iterated by ``stream_batch`` without one."""
POSITIONAL = {("run_batch", "items"), ("submit_batch", "items")}
"""Arguments that need no name although they may be left out."""

BY_HAND: Mapping[str, tuple[str, ...]] = {
    "netclaw_opencode.api.events": (
        *("Event", "PermissionEvent", "ProgressEvent", "QuestionEvent", "StatusEvent", "TaskEvent", "TextEvent", "ToolEvent"),
    ),
    "netclaw_opencode.api.batches": ("AsyncBatchRun", "BatchRun"),
    "netclaw_opencode.api.streams": ("AsyncTaskStream", "TaskStream"),
    "netclaw_opencode.api.types": ("Model", "ModelRef", "OnPermission", "OnQuestion", "PermissionAnswer", "QuestionAnswer", "Seconds"),
    "netclaw_opencode.api.client": ("OpenCode",),
    "netclaw_opencode.api.async_client": ("AsyncOpenCode",),
    "netclaw_opencode.errors": ("DriverError", "Stop"),
    "netclaw_opencode.facts": ("AgentQuestion", "Decision", "PendingRequest"),
    "netclaw_opencode.host": ("Host",),
    "netclaw_opencode.settings": ("Settings",),
}


# --- inputs


def inputs(manifest: Manifest) -> tuple[str, Classes]:
    """The module of arguments that are objects, and its classes."""
    classes = Classes(typed_dicts=True)
    for entry in manifest.actions.values():
        for name, schema in properties(entry.input_schema).items():
            if name != "output_schema":
                classes.annotation(schema, camel(name), entry.input_schema, camel(entry.name))
    head = '''"""Arguments of actions that have parts, as typed dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict
'''
    return MADE + head + "\n\n" + "\n\n".join(classes.texts.values()) + f"\n\n__all__ = {sorted(classes.texts)!r}\n", classes


# --- clients


@dataclass(frozen=True)
class Parameter:
    """A parameter of a method, and how it becomes an argument of the action."""

    field: str
    name: str
    annotation: str
    default: object
    needed: bool
    convert: str
    text: str

    def declared(self, annotation: str | None = None, *, default: bool = True) -> str:
        """The parameter in a signature."""
        kind = annotation or self.annotation
        if self.needed or not default:
            return f"{self.name}: {kind}"
        return f"{self.name}: {kind} = {self.default!r}" if self.default is not None else f"{self.name}: {kind} | None = None"

    @property
    def argument(self) -> str:
        """The expression that is sent."""
        return f"arguments.{self.convert}({self.name})" if self.convert else self.name


def parameters(entry: ActionEntry, classes: Classes) -> list[Parameter]:
    """The parameters of an action's method: first those that are required."""
    found, schema = [], entry.input_schema
    needed = required(schema)
    renamed = {name: name.removesuffix("_seconds") for name in properties(schema) if name.endswith("_seconds")}
    for each, part in properties(schema).items():
        annotation, convert = classes.annotation(part, camel(each), schema, camel(entry.name)), ""
        if each == "output_schema":
            annotation, convert = "Mapping[str, object]", "schema"
        elif each in PATHS:
            annotation, convert = "Path", "path"
        elif each in renamed:
            annotation, convert = "Seconds", "seconds"
        elif annotation == "Any" and each.endswith("model"):
            annotation, convert = "Model", "model"
        elif annotation == "Sequence[Any]" and each.endswith("models"):
            annotation, convert = "Sequence[Model]", "models"
        elif part.get("type") in ("array", "object"):
            convert = "plain"
        text = re.sub(r"\b\w+_seconds\b", lambda match: renamed.get(match[0], match[0]), str(part.get("description", "")))
        found.append(Parameter(each, renamed.get(each, each), annotation, part.get("default"), each in needed, convert, text))
    return sorted(found, key=lambda parameter: not (parameter.needed or (entry.name, parameter.field) in POSITIONAL))


def answers_requests(entry: ActionEntry) -> bool:
    """Whether the agent may ask for something while this action runs, and be answered."""
    return "permission_required" in entry.errors and entry.tier != "inspect"


def method(entry: ActionEntry, classes: Classes, *, is_async: bool, streams: bool) -> str:
    """One typed method of a client."""
    given, name = parameters(entry, classes), STREAMS.get(entry.name, entry.name) if streams else entry.name
    result = f"results.{result_name(entry)}"
    stream = ("AsyncTaskStream" if is_async else "TaskStream") if streams else ""
    follows = entry.name in BATCHES and (is_async or streams)
    if follows:
        name, stream = "run_batch" if is_async else "stream_batch", ""
        result = "AsyncBatchRun" if is_async else "BatchRun"
    define = "async def" if is_async and not streams and not follows else "def"
    asks = ["on_permission: OnPermission | None = None", "on_question: OnQuestion | None = None"] if answers_requests(entry) else []

    def signature(output_schema: tuple[str, bool] | None, of: str) -> str:
        words, star = ["self"], False
        for parameter in given:
            if not parameter.needed and not star and (entry.name, parameter.field) not in POSITIONAL:
                words.append("*")
                star = True
            if parameter.field == "output_schema" and output_schema is not None:
                words.append(parameter.declared(output_schema[0], default=output_schema[1]))
            else:
                words.append(parameter.declared())
        words += ([] if star or not asks else ["*"]) + asks
        kind = f"{result}[{of}]" if of else result
        return f"    {define} {name}({', '.join(words)}) -> {f'{stream}[{kind}]' if stream else kind}:"

    text = []
    either = "Mapping[str, object] | type[Any]"
    if is_generic(entry):
        text += [f"    @overload\n{signature(('type[T]', False), 'T')} ...", f"    @overload\n{signature(None, 'Any')} ..."]
    takes_type = any(parameter.field == "output_schema" for parameter in given)
    text.append(signature((either, True) if takes_type else None, "Any" if is_generic(entry) else ""))
    text.append(_docstring(entry, given, asks=bool(asks), stream=stream))
    if follows:
        text[-1] = text[-1].replace("        Args:", f"        {_FOLLOWED[is_async]}\n\n        Args:", 1)
    sent = ", ".join(f'"{parameter.field}": {parameter.argument}' for parameter in given)
    defaults = {parameter.field: parameter.default for parameter in given if parameter.default is not None}
    more = ["structured=arguments.answer_type(output_schema)"] if is_generic(entry) else []
    more += ["on_permission=on_permission", "on_question=on_question"] if asks else []
    made = f"results.{result_name(entry)}"
    text.append(f"        request = Request({', '.join([repr(entry.name), f'arguments.given({{{sent}}}, {defaults!r})', made, *more])})")
    if follows:
        text.append(f"        return {result}(self._host, request)\n")
    else:
        text.append(f"        return {'await ' if define == 'async def' else ''}self.{'_stream' if streams else '_perform'}(request)\n")
    return "\n".join(text)


_FOLLOWED = {
    True: "``async for item in oc.run_batch(items)`` yields each task as it ends; ``await oc.run_batch(items)`` returns at the end.",
    False: "``for item in oc.stream_batch(items)`` yields each task as it ends.",
}


def _docstring(entry: ActionEntry, given: list[Parameter], *, asks: bool, stream: str) -> str:
    texts = [(parameter.name, _about(parameter)) for parameter in given]
    if asks:
        texts.append(("on_permission", "Answers the agent's permissions, for this call alone; asked before plugins and the policy file."))
        texts.append(("on_question", "Answers the agent's questions, for this call alone; asked before plugins and the policy file."))
    summary = f"Follow {entry.name} while it runs: {entry.summary[:1].lower()}{entry.summary[1:]}" if stream else entry.summary
    blocks = [quoted(summary, 8, first=0), quoted(entry.description, 8)]
    if stream:
        block = "async with" if stream.startswith("Async") else "with"
        blocks.append(quoted(f"Use it as a block: ``{block} … as task``. Leaving the block early stops the task, verified.", 8))
    if texts:
        blocks.append("        Args:\n" + items(texts, 12))
    own = ", ".join(error_name(code) for code in entry.errors)
    if not stream:
        blocks.append(
            "        Raises:\n" + quoted(f"DriverError: How it failed{f'; causes of its own: {own}' if own else ''}.", 16, first=12)
        )
    return '        """' + "\n\n".join(blocks) + '\n        """'


def _about(parameter: Parameter) -> str:
    if parameter.field == "output_schema":
        return f"{parameter.text} Or the type of the data: a dataclass, a TypedDict or a pydantic model."
    if parameter.convert == "path":
        return parameter.text.replace("Absolute path", "Path")
    return f"{parameter.text} Or a ``timedelta``." if parameter.convert == "seconds" else parameter.text


def client(manifest: Manifest, classes: Classes, *, is_async: bool) -> str:
    """The module of a client."""
    name, base = ("AsyncOpenCode", "AsyncClient") if is_async else ("OpenCode", "SyncClient")
    stream = "AsyncTaskStream" if is_async else "TaskStream"
    used = ", ".join(sorted(classes.texts))
    note = "a program with an event loop" if is_async else "a program without an event loop; any number of threads may call"
    block = "async with AsyncOpenCode() as oc" if is_async else "with OpenCode() as oc"
    wait = "await " if is_async else ""
    methods = []
    for entry in manifest.actions.values():
        methods.append(method(entry, classes, is_async=is_async, streams=False))
        if entry.name in STREAMS or (entry.name in BATCHES and not is_async):
            methods.append(method(entry, classes, is_async=is_async, streams=True))
    return f'''{MADE}"""``{name}``: a typed method for each action, for {note.split(";", maxsplit=1)[0]}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from netclaw_opencode.api import _arguments as arguments
from netclaw_opencode.api import results
from netclaw_opencode.api._calls import Request
from netclaw_opencode.api._clients import {base}
from netclaw_opencode.api.batches import {"AsyncBatchRun" if is_async else "BatchRun"}
from netclaw_opencode.api.inputs import {used}
from netclaw_opencode.api.streams import {stream}
from netclaw_opencode.api.types import Model, OnPermission, OnQuestion, Path, Seconds

T = TypeVar("T")


class {name}({base}):
    """The skill for {note}.

    ``{block}: result = {wait}oc.run_task("…", directory="…"); print(result.text)``

    Only our own skill is there, unless ``plugins`` (objects by name), ``directories`` or ``entry_points=True`` say otherwise; their
    actions are called by name (``call``). A method that fails raises a ``DriverError``, of a class for its cause.
    """

{chr(10).join(methods)}

__all__ = ["{name}"]
'''


# --- the whole


def exports(homes: Mapping[str, list[str]]) -> str:
    """The exports of the package itself, as type checkers read them."""
    names = sorted({name for found in homes.values() for name in found} | {"__version__"})
    imports = "\n".join(f"    from {module} import {', '.join(sorted(found))}" for module, found in sorted(homes.items()))
    return f"{BEGIN}if TYPE_CHECKING:\n{imports}\n\n__all__ = {names!r}\n{END}"


def table(homes: Mapping[str, list[str]]) -> str:
    """The module that says where each exported name stands."""
    rows = sorted((name, module) for module, found in homes.items() for name in found)
    twice = sorted(row[0] for row, following in pairwise(rows) if row[0] == following[0])
    if twice:
        raise SystemExit(f"two things would be exported under one name: {twice}")
    lines = "\n".join(f'    "{name}": "{module}",' for name, module in rows)
    return f'''{MADE}"""Where each name that the package exports stands."""

from __future__ import annotations

from collections.abc import Mapping

HOMES: Mapping[str, str] = {{
{lines}
}}

__all__ = ["HOMES"]
'''


def compact_json(content: Mapping[str, object], sources: Sequence[Path]) -> str:
    """The content with the checksum of its sources, one line for each part, so that a diff can be read."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    parts = []
    for name, value in content.items():
        rows = ",\n".join(line(row) for row in value) if isinstance(value, list) else None
        parts.append(f"{line(name)}:{line(value) if rows is None else f'[{rows}]'}")
    return f'{{"checksum":{compact.checksum(sources)},"content":{{\n' + ",\n".join(parts) + "\n}}\n"


def compact_pages(manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """The compact form of the manifest and of its schemas."""
    content = cast("Mapping[str, object]", read_yaml(manifest.source).value)
    yield compact.FOLDER / "skill.json", compact_json(content, [manifest.source])
    files = compact.schema_files(manifest.source.parent / "schemas" / "actions")
    schemas = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in files}
    yield compact.FOLDER / "schemas.json", compact_json(schemas, files)


def pages() -> Iterator[tuple[Path, str]]:
    """Every file with what it should hold."""
    manifest = load_manifest()
    of_results, result_names = modules(manifest, taken=frozenset(name for names in BY_HAND.values() for name in names))
    of_inputs, classes = inputs(manifest)
    of_errors, error_names = exceptions()
    for module, text in of_results.items():
        yield RESULTS / f"{module}.py", text
    yield API / "inputs.py", of_inputs
    yield API / "exceptions.py", of_errors
    yield API / "client.py", client(manifest, classes, is_async=False)
    yield API / "async_client.py", client(manifest, classes, is_async=True)
    homes = {module: list(names) for module, names in BY_HAND.items()}
    homes |= {PACKAGE: result_names, f"{API.parent.name}.api.exceptions": error_names}
    homes[f"{API.parent.name}.api.inputs"] = list(classes.texts)
    yield API / "_exports.py", table(homes)
    text = TOP.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    yield TOP, before + exports(homes) + rest.split(END)[1]
    yield from compact_pages(manifest)


def tidied(wanted: Mapping[Path, str]) -> dict[Path, str]:
    """The texts as ruff has them: sorted imports and names, none unused, our line length. All at once, since each start takes time."""
    with TemporaryDirectory() as folder:
        copies = {path: Path(folder) / path.relative_to(ROOT) for path in wanted if path.suffix == ".py"}
        for path, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(wanted[path], encoding="utf-8")
        settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--quiet"]
        for command in (["check", "--fix-only", "--select", "F401,I,RUF022,UP"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *command, *settings, folder], check=True, cwd=folder)
        return {**wanted, **{path: copy.read_text(encoding="utf-8") for path, copy in copies.items()}}


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or say which are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file is not up to date")
    check = parser.parse_args(arguments).check
    wanted = tidied(dict(pages()))
    stale = [path for path in RESULTS.glob("*.py") if path not in wanted]
    for path in [] if check else stale:
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        what = "is not up to date: run python scripts/generate_api.py" if check else "written" if path.exists() else "removed"
        print(f"{path.relative_to(ROOT)} {what}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
