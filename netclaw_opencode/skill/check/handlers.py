"""Whether the handlers that a manifest names are there: looked up in the source, or imported in a process of its own.

Owns both ways. Looking up parses and runs nothing. Importing runs code of the package, so it happens only on demand, with
no input, its output thrown away, within a time, and whatever it does to its process.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from netclaw_opencode._core.documents import Fault, Steps, read_text
from netclaw_opencode.manifest.handlers import handler_problem, import_problem
from netclaw_opencode.skill.check.agreement import Declared
from netclaw_opencode.skill.check.findings import Finding, finding
from netclaw_opencode.skill.check.places import MANIFEST, Package, is_inside, kind_of

IMPORT_SECONDS = 60.0

Named = tuple[Steps, str]


def named_in(declared: Declared) -> tuple[str | None, list[Named]]:
    """Return the plugin module, and each handler with its place in the manifest."""
    actions = declared.top.get("actions")
    handlers: list[Named] = []
    for position, entry in enumerate(actions if isinstance(actions, list) else []):
        handler = entry.get("handler") if isinstance(entry, dict) else None
        if isinstance(handler, str) and _well_formed(handler):
            handlers.append((("actions", position, "handler"), handler))
    plugin = declared.text("plugin")
    return (plugin if plugin and _well_formed(f"{plugin}:x") else None), handlers


def look_up_handlers(package: Package, declared: Declared) -> Iterator[Finding]:
    """Return what the source says; nothing is imported."""
    plugin, handlers = named_in(declared)
    sources: dict[str, ast.Module | Finding | str] = {}
    reported: set[Finding] = set()
    if plugin is not None:
        found = _source(package, plugin)
        if found == "missing":
            yield _at(declared, ("plugin",), "plugin_missing", f"the module {plugin} is not in the package")
        elif found == "elsewhere":
            yield _at(declared, ("plugin",), "handler_elsewhere", f"the module {plugin} is not in this folder")
    for steps, handler in handlers:
        module, _, function = handler.partition(":")
        source = sources[module] = sources[module] if module in sources else _source(package, module)
        if source == "elsewhere":
            yield _at(declared, steps, "handler_elsewhere", f"the module {module} is not in this folder")
        elif source == "missing":
            yield _at(declared, steps, "handler_missing", f"the module {module} is not in the package")
        elif isinstance(source, Finding):
            if source not in reported:
                reported.add(source)
                yield source
        elif isinstance(source, ast.Module):
            wrong = _wrong(source, module, function)
            if wrong is not None:
                yield _at(declared, steps, *wrong)


def import_handlers(package: Package, declared: Declared, *, seconds: float = IMPORT_SECONDS) -> Iterator[Finding]:
    """Return what an import says. Runs code of the package."""
    plugin, handlers = named_in(declared)
    if plugin is None and not handlers:
        return
    with tempfile.TemporaryDirectory(prefix="netclaw-import-") as place:
        asked, answer = Path(place, "asked.json"), Path(place, "answer.json")
        asked.write_text(json.dumps({"plugin": plugin, "handlers": [handler for _, handler in handlers]}), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(package.folder.resolve()), str(asked), str(answer)]
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=place,
                timeout=seconds,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            yield _at(declared, (), "import_failed", f"importing its modules takes longer than {seconds:g} s")
            return
        except OSError as error:
            yield _at(declared, (), "import_failed", f"no process could be started to import its modules: {error.strerror or error}")
            return
        try:
            answered = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            yield _at(declared, (), "import_failed", f"importing its modules ended the process (exit code {done.returncode})")
            return
    if answered["plugin"] is not None:
        yield _at(declared, ("plugin",), "import_failed", answered["plugin"])
    for (steps, _), wrong in zip(handlers, answered["handlers"], strict=True):
        if wrong is not None:
            yield _at(declared, steps, *wrong)


def _environment() -> dict[str, str]:
    """Return the caller's, and the folder that this package is imported from, also if it is not installed."""
    here = str(Path(__file__).resolve().parents[3])
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _at(declared: Declared, steps: Steps, code: str, what: str) -> Finding:
    line, column = declared.document.place_of(steps)
    return finding(MANIFEST, code, what, line=line, column=column)


def _well_formed(handler: str) -> bool:
    module, _, function = handler.partition(":")
    return len(handler) <= 300 and all(part.isidentifier() for part in [*module.split("."), function])


def _source(package: Package, module: str) -> ast.Module | Finding | str:
    """Return the parsed module; why it cannot be parsed; ``missing``, or ``elsewhere`` where not even its package is here."""
    inside = False
    for base in (package.folder, package.folder / "src"):
        parts = module.split(".")
        inside |= any(kind_of(base / name) != "missing" for name in (parts[0], f"{parts[0]}.py"))
        for path in (base.joinpath(*parts[:-1], f"{parts[-1]}.py"), base.joinpath(*parts, "__init__.py")):
            if kind_of(path) != "missing":
                return _parsed(package, path)
    return "missing" if inside else "elsewhere"


def _parsed(package: Package, path: Path) -> ast.Module | Finding | str:
    relative = path.relative_to(package.folder).as_posix()
    if not is_inside(package.folder, path):
        return finding(relative, "path_outside", "it is a link that leads out of the package")
    text = read_text(path)
    if isinstance(text, Fault):
        return finding(relative, text.kind, text.what, text.fix, line=text.line)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return finding(relative, "syntax", f"not Python: {error.msg}", line=error.lineno, column=error.offset)
    except (ValueError, RecursionError, MemoryError):  # a NUL; nested too deeply for the parser
        return finding(relative, "syntax", "not Python that can be parsed")


def _wrong(source: ast.Module, module: str, function: str) -> tuple[str, str] | None:
    """Return why ``function`` is no handler. A name that is imported or assigned is taken on trust: only running it would tell."""
    last: ast.stmt | None = None
    trusted = False
    pending: list[ast.stmt] = list(source.body)
    for node in pending:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            last = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            trusted |= any((alias.asname or alias.name) in (function, "*") for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            trusted |= any(isinstance(name, ast.Name) and name.id == function for target in targets for name in ast.walk(target))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    if trusted:
        return None
    if last is None:
        return "handler_missing", f"the module {module} has no function {function!r}"
    if isinstance(last, ast.FunctionDef) and not last.decorator_list:
        return "handler_not_async", f"{module}:{function} is not an async function"
    return None if _takes_two(last) else ("handler_not_async", f"{module}:{function} does not take (arguments, context)")


def _takes_two(function: ast.stmt) -> bool:
    if not isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
        return True
    given = function.args
    positional = len(given.posonlyargs) + len(given.args)
    keywords = sum(default is None for default in given.kw_defaults)
    return keywords == 0 and positional - len(given.defaults) <= 2 and (positional >= 2 or given.vararg is not None)


def _answer(folder: str, asked: str, answer: str) -> None:
    """The process of its own: import what is asked for as a host does, and write down why it cannot be used."""
    question = json.loads(Path(asked).read_text(encoding="utf-8"))
    sys.path[:0] = [folder, str(Path(folder, "src"))]
    answered = {
        "plugin": import_problem(question["plugin"]) if question["plugin"] else None,
        "handlers": [handler_problem(handler) for handler in question["handlers"]],
    }
    Path(answer).write_text(json.dumps(answered), encoding="utf-8")
    # Threads that the package has started do not keep this process.
    os._exit(0)


if __name__ == "__main__":
    _answer(*sys.argv[1:4])


__all__ = ["IMPORT_SECONDS", "import_handlers", "look_up_handlers", "named_in"]
