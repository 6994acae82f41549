"""The thorough look at a ``skill.yaml``: every mismatch between it and what it names, all at once.

Owns the cross-checks manifest ↔ schema files ↔ examples ↔ error codes ↔ handlers, and the house rules for action schemas
(closed, described, plain inputs). It reads files; it imports code of the skill only when told to check handlers.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from netclaw_opencode.documents import Document, Fault, Steps, read_json, read_yaml
from netclaw_opencode.errors import CODES
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.manifest.entries import ManifestProblem
from netclaw_opencode.manifest.schema_rules import broken_rules
from netclaw_opencode.resources import bundled
from netclaw_opencode.validation import SchemaProblem, problems_of

_ALL = 10_000
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def mismatches(source: Path, *, check_handlers: bool) -> list[ManifestProblem]:
    """All problems of the manifest at ``source``, in the order of the file."""
    document = read_yaml(source)
    found = [ManifestProblem(source.name, fault.what, fault.mend, fault.line) for fault in document.faults]
    if not document.whole or not isinstance(document.value, dict):  # what is missing after a stop is no finding
        return found or [ManifestProblem(source.name, "it is not a map", "begin with name: and version:", 1)]
    check = _Check(document, document.value, source.parent.resolve())
    found += check.form()
    found += check.names()
    for position, entry in enumerate(check.entries):
        if isinstance(entry, dict):
            found += check.action(position, entry)
    found += check.orphans()
    if check_handlers:
        found += check.handlers()
    return sorted(found, key=lambda problem: problem.line or _ALL)


@dataclass(slots=True)
class _Check:
    """One manifest under the lamp."""

    document: Document
    top: JsonObject
    folder: Path
    used: set[Path] = field(default_factory=set)

    @property
    def entries(self) -> list[object]:
        return _items(self.top.get("actions"))

    def at(self, steps: Steps, what: str, mend: str) -> ManifestProblem:
        """A problem of the manifest itself; actions are called by their names, not their positions."""
        where = ""
        for depth, step in enumerate(steps):
            if isinstance(step, int):
                entry = self.entries[step] if steps[:depth] == ("actions",) else None
                name = entry.get("name") if isinstance(entry, dict) else None
                where += f"[{name if isinstance(name, str) else step}]"
            else:
                where += f".{step}" if where else step
        return ManifestProblem(where or "skill.yaml", what, mend, self.document.line_of(steps))

    def form(self) -> Iterator[ManifestProblem]:
        schema = read_json(bundled("schemas/skill.schema.json")).value
        for problem in problems_of(self.top, cast("JsonObject", schema), limit=_ALL):
            yield self.at(_steps(problem.path), _what(problem), _mend(problem))

    def names(self) -> Iterator[ManifestProblem]:
        for key in ("actions", "environment"):
            seen: set[str] = set()
            for position, entry in enumerate(_items(self.top.get(key))):
                name = entry.get("name") if isinstance(entry, dict) else None
                if isinstance(name, str) and name in seen:
                    yield self.at((key, position, "name"), f"the name {name!r} stands twice in {key}", "rename or remove one of them")
                if isinstance(name, str):
                    seen.add(name)
                if isinstance(entry, dict) and entry.get("secret") is True and "default" in entry:
                    yield self.at((key, position, "default"), "a secret has a default", "remove the default")
        yield from self.codes(("common_errors",), self.top.get("common_errors"))

    def codes(self, steps: Steps, codes: object) -> Iterator[ManifestProblem]:
        common = _items(self.top.get("common_errors")) if steps[0] == "actions" else []
        for position, code in enumerate(_items(codes)):
            if isinstance(code, str) and code not in CODES:
                near = difflib.get_close_matches(code, CODES, n=1)
                mend = f"did you mean {near[0]!r}?" if near else "use a code of docs/errors.md"
                yield self.at((*steps, position), f"there is no error code {code!r}", mend)
            elif code in common:
                yield self.at((*steps, position), f"{code!r} is one of common_errors already", "remove it here")

    def action(self, position: int, entry: JsonObject) -> Iterator[ManifestProblem]:
        here: Steps = ("actions", position)
        yield from self.codes((*here, "errors"), entry.get("errors"))
        for side in ("input", "output"):
            relative = entry.get(side)
            if not isinstance(relative, str):
                continue
            path = (self.folder / relative).resolve()
            if not path.is_relative_to(self.folder):
                yield self.at((*here, side), "the path leads out of the manifest's folder", "keep the schema file below skill.yaml")
                continue
            self.used.add(path)
            schema = read_json(path)
            if schema.faults or not isinstance(schema.value, dict):
                for fault in schema.faults or (Fault("it is not a JSON object", "write a JSON Schema"),):
                    line = "" if fault.line is None else f" line {fault.line}"
                    yield self.at((*here, side), f"{relative}{line}: {fault.what}", fault.mend)
                continue
            broken = [
                ManifestProblem(f"{relative}: {place}", what, mend)
                for place, what, mend in broken_rules(schema.value, plain=side == "input")
            ]
            yield from broken
            if not broken:  # a broken schema proves nothing about the examples
                yield from self.examples(here, entry, side, schema.value)

    def examples(self, here: Steps, entry: JsonObject, side: str, schema: JsonObject) -> Iterator[ManifestProblem]:
        for number, example in enumerate(_items(entry.get("examples"))):
            value = example.get(side) if isinstance(example, dict) else None
            if isinstance(value, dict):
                for problem in problems_of(value, schema, incoming=side == "input"):
                    steps = (*here, "examples", number, side, *_steps(problem.path))
                    yield self.at(steps, f"the example breaks the {side} schema: {_what(problem)}", _mend(problem))

    def orphans(self) -> Iterator[ManifestProblem]:
        """Schema files beside the named ones that no action names: a renamed action, most likely."""
        for folder in sorted({path.parent for path in self.used}):
            for path in sorted(folder.glob("*.json")):
                if path.name.endswith((".input.json", ".output.json")) and path.resolve() not in self.used:
                    relative = path.relative_to(self.folder).as_posix()
                    yield ManifestProblem(relative, "no action of the manifest names this schema", "name it or remove it")

    def handlers(self) -> Iterator[ManifestProblem]:
        plugin = self.top.get("plugin")
        if isinstance(plugin, str):
            reason = _import_problem(plugin)
            if reason is not None:
                yield self.at(("plugin",), reason, "correct the module's name or install it")
        for position, entry in enumerate(self.entries):
            handler = entry.get("handler") if isinstance(entry, dict) else None
            if isinstance(handler, str):
                reason = _handler_problem(handler)
                if reason is not None:
                    mend = "name an async function (arguments, context) as module:function"
                    yield self.at(("actions", position, "handler"), reason, mend)


def _import_problem(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code runs here: what it raises is the finding
        return f"the module {module!r} cannot be imported: {type(error).__name__}: {str(error)[:200]}"
    return None


def _handler_problem(handler: str) -> str | None:
    module, _, function = handler.partition(":")
    reason = _import_problem(module)
    if reason is not None:
        return reason
    found = getattr(importlib.import_module(module), function, None)
    if found is None:
        return f"the module {module!r} has no {function!r}"
    if not inspect.iscoroutinefunction(found):
        return f"{handler!r} is not an async function"
    try:
        inspect.signature(found).bind({}, None)
    except TypeError:
        return f"{handler!r} does not take (arguments, context)"
    return None


def _what(problem: SchemaProblem) -> str:
    """The message without the place and the hint, which a ``ManifestProblem`` has in fields of their own."""
    return problem.message.removeprefix(f"{problem.path}: ").removesuffix(f", {problem.hint}").removesuffix(f"; {problem.hint}")


def _mend(problem: SchemaProblem) -> str:
    return problem.hint or ("add it" if problem.rule == "required" else problem.rule)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _steps(path: str) -> Steps:
    """The steps of a problem's path; a name with dots in it only costs precision of the line."""
    return tuple(int(number) if number else name for number, name in _STEP.findall(path))


__all__ = ["mismatches"]
