"""The thorough look at a ``skill.yaml``: every mismatch between it and what it names, all at once.

Owns the cross-checks manifest ↔ schema files ↔ examples ↔ error codes ↔ handlers, and the house rules for action schemas
(closed, described, plain inputs). It reads files; it imports code of the skill only when told to check handlers.
Every problem carries a code of the table in ``skill.check.rules``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from netclaw_opencode._core.documents import Document, Fault, Steps, read_json, read_yaml
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import SchemaProblem, find_problems
from netclaw_opencode.errors import CODES
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.manifest.entries import ManifestProblem
from netclaw_opencode.manifest.handlers import handler_problem, import_problem
from netclaw_opencode.manifest.schema_rules import Broken, broken_rules, doubtful_names

_ALL = 10_000
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def mismatches(source: Path, *, check_handlers: bool, doubts: bool = False) -> list[ManifestProblem]:
    """All problems of the manifest at ``source``: its own in the order of the file, then those of its schema files.

    ``doubts`` adds what is allowed, but not carried by every host.
    """
    document = read_yaml(source)
    found = [ManifestProblem(source.name, fault.what, fault.fix, fault.line, fault.column, fault.kind) for fault in document.faults]
    if not document.whole or not isinstance(document.value, dict):  # what is missing after a stop is no finding
        return found or [ManifestProblem(source.name, "it is not a map", "begin with name: and version:", 1, 1, "bad_value")]
    check = _Check(document, document.value, source.parent.resolve(), doubts=doubts)
    found += check.form()
    found += check.names()
    for position, entry in enumerate(check.entries):
        if isinstance(entry, dict):
            found += check.action(position, entry)
    found += check.orphans()
    if check_handlers:
        found += check.handlers()
    return sorted(found, key=lambda problem: (problem.file is not None, 0 if problem.file else problem.line or _ALL))


@dataclass(slots=True)
class _Check:
    """One manifest under the lamp."""

    document: Document
    top: JsonObject
    folder: Path
    doubts: bool
    used: set[Path] = field(default_factory=set)

    @property
    def entries(self) -> list[object]:
        return _items(self.top.get("actions"))

    def at(self, steps: Steps, what: str, fix: str, code: str) -> ManifestProblem:
        """Return a problem of the manifest itself; actions are called by their names, not their positions."""
        where = ""
        for depth, step in enumerate(steps):
            if isinstance(step, int):
                entry = self.entries[step] if steps[:depth] == ("actions",) else None
                name = entry.get("name") if isinstance(entry, dict) else None
                where += f"[{name if isinstance(name, str) else step}]"
            else:
                where += f".{step}" if where else step
        return ManifestProblem(where or "skill.yaml", what, fix, *self.document.place_of(steps), code)

    def form(self) -> Iterator[ManifestProblem]:
        schema = read_json(find_bundled("schemas/skill.schema.json")).value
        for problem in find_problems(self.top, cast("JsonObject", schema), limit=_ALL):
            yield self.at(problem.steps, _what(problem), _mend(problem), _form_code(problem, self.value_at(problem.steps)))

    def value_at(self, steps: Steps) -> object:
        value: object = self.top
        for step in steps:
            if isinstance(value, dict):
                value = value.get(str(step))
            else:
                value = value[step] if isinstance(value, list) and isinstance(step, int) else None
        return value

    def names(self) -> Iterator[ManifestProblem]:
        for key in ("actions", "environment"):
            seen: set[str] = set()
            for position, entry in enumerate(_items(self.top.get(key))):
                name = entry.get("name") if isinstance(entry, dict) else None
                if isinstance(name, str) and name in seen:
                    yield self.at(
                        (key, position, "name"),
                        f"the name {name!r} stands twice in {key}",
                        "rename or remove one of them",
                        "duplicate_name",
                    )
                if isinstance(name, str):
                    seen.add(name)
                if isinstance(entry, dict) and entry.get("secret") is True and "default" in entry:
                    yield self.at((key, position, "default"), "a secret has a default", "remove the default", "secret_default")
        yield from self.codes(("common_errors",), self.top.get("common_errors"))

    def codes(self, steps: Steps, codes: object) -> Iterator[ManifestProblem]:
        common = _items(self.top.get("common_errors")) if steps[0] == "actions" else []
        for position, code in enumerate(_items(codes)):
            if isinstance(code, str) and code not in CODES:
                near = difflib.get_close_matches(code, CODES, n=1)
                fix = f"did you mean {near[0]!r}?" if near else "use a code of docs/errors.md"
                yield self.at((*steps, position), f"there is no error code {code!r}", fix, "unknown_error_code")
            elif code in common:
                yield self.at((*steps, position), f"{code!r} is one of common_errors already", "remove it here", "repeated_error_code")

    def action(self, position: int, entry: JsonObject) -> Iterator[ManifestProblem]:
        here: Steps = ("actions", position)
        yield from self.codes((*here, "errors"), entry.get("errors"))
        for side in ("input", "output"):
            relative = entry.get(side)
            if not isinstance(relative, str):
                continue
            path = _resolved(self.folder, relative)
            self.used |= {path or self.folder, self.folder / relative}
            if path is None:
                fix = "keep the schema file below skill.yaml"
                yield self.at((*here, side), "the path leads out of the manifest's folder", fix, "path_outside")
                continue
            if not _exists(path):
                fix = "write the file or correct the path"
                yield self.at((*here, side), f"{relative}: there is no such file", fix, "file_missing")
                continue
            schema = read_json(path)
            if schema.faults or not isinstance(schema.value, dict):
                for fault in schema.faults or (Fault("it is not a JSON object", "write a JSON Schema", 1, 1),):
                    code = fault.kind if schema.faults else "schema_not_object"
                    yield ManifestProblem(relative, fault.what, fault.fix, fault.line, fault.column, code, relative)
                continue
            broken = broken_rules(schema.value, plain=side == "input")
            doubtful = [*doubtful_names(schema.value)] if self.doubts and not broken else []
            yield from _in_file(relative, path, [*broken, *doubtful])
            if not broken:  # a broken schema proves nothing about the examples
                yield from self.examples(here, entry, side, schema.value)

    def examples(self, here: Steps, entry: JsonObject, side: str, schema: JsonObject) -> Iterator[ManifestProblem]:
        for number, example in enumerate(_items(entry.get("examples"))):
            value = example.get(side) if isinstance(example, dict) else None
            if isinstance(value, dict):
                for problem in find_problems(value, schema, incoming=side == "input"):
                    steps = (*here, "examples", number, side, *problem.steps)
                    what = f"the example breaks the {side} schema: {_what(problem)}"
                    yield self.at(steps, what, _mend(problem), "example_mismatch")

    def orphans(self) -> Iterator[ManifestProblem]:
        """Schema files beside the named ones that no action names: a renamed action, most likely."""
        for folder in sorted({path.parent for path in self.used if path.is_relative_to(self.folder)}):
            for path in sorted(folder.glob("*.json")):
                if path.name.endswith((".input.json", ".output.json")) and not {path, path.resolve()} & self.used:
                    relative = path.relative_to(self.folder).as_posix()
                    what, fix = "no action of the manifest names this schema", "name it or remove it"
                    yield ManifestProblem(relative, what, fix, code="unused_schema", file=relative)

    def handlers(self) -> Iterator[ManifestProblem]:
        plugin = self.top.get("plugin")
        if isinstance(plugin, str):
            reason = import_problem(plugin)
            if reason is not None:
                yield self.at(("plugin",), reason, "correct the module's name or install it", "import_failed")
        for position, entry in enumerate(self.entries):
            handler = entry.get("handler") if isinstance(entry, dict) else None
            if isinstance(handler, str):
                wrong = handler_problem(handler)
                if wrong is not None:
                    code, reason = wrong
                    fix = "name an async function (arguments, context) as module:function"
                    yield self.at(("actions", position, "handler"), reason, fix, code)


_FORM_CODES = {
    ("name",): "bad_skill_name",
    ("version",): "bad_version",
    ("actions", "name"): "bad_action_name",
    ("environment", "name"): "bad_variable_name",
}


def _resolved(folder: Path, relative: str) -> Path | None:
    """Return the path below ``folder``, or None if it leads out of it or nowhere (a loop of links, a NUL)."""
    try:
        path = (folder / relative).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return path if path.is_relative_to(folder) else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for any file
        return False


def _form_code(problem: SchemaProblem, value: object) -> str:
    match problem.keyword:
        case "required":
            return "missing_key"
        case "additionalProperties":
            return "unknown_key"
    names = tuple(step for step in problem.steps if isinstance(step, str))
    code = _FORM_CODES.get(names, "bad_value")
    reserved = code == "bad_variable_name" and isinstance(value, str) and value.startswith("NETCLAW_")
    return "reserved_variable" if reserved else code


def _in_file(relative: str, path: Path, broken: list[Broken]) -> Iterator[ManifestProblem]:
    """Broken rules of a schema file, with the places that only a second reading of it knows."""
    document = read_json(path, places=True) if broken else None
    for rule in broken:
        steps = () if rule.place == "(top)" else _steps(rule.place)
        line, column = (None, None) if document is None else document.place_of(steps)
        yield ManifestProblem(f"{relative}: {rule.place}", rule.what, rule.fix, line, column, rule.code, relative)


def _what(problem: SchemaProblem) -> str:
    """Return the message without the place and the hint, which a ``ManifestProblem`` has in fields of their own."""
    return problem.message.removeprefix(f"{problem.path}: ").removesuffix(f", {problem.hint}").removesuffix(f"; {problem.hint}")


def _mend(problem: SchemaProblem) -> str:
    return problem.hint or ("add it" if problem.rule == "required" else problem.rule)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _steps(path: str) -> Steps:
    """Return the steps of a problem's path; a name with dots in it only costs precision of the line."""
    return tuple(int(number) if number else name for number, name in _STEP.findall(path))


__all__ = ["mismatches"]
