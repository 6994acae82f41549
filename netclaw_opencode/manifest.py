"""What a ``skill.yaml`` says, as frozen facts.

Owns the reading of a manifest and nothing of its meaning. Reading is cheap (no ``jsonschema``, no schema file, no handler
is touched), so that ``--help`` can afford it; action schemas are read when asked for. ``check_manifest`` is the thorough
look: every mismatch between manifest, schemas, examples, error codes and handlers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from netclaw_opencode.documents import Document, read_json, read_yaml
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.resources import bundled


@dataclass(frozen=True, slots=True)
class ManifestProblem:
    """One mismatch: ``where`` (a key path in the manifest, or a schema file and a path in it), what is wrong, how to mend it."""

    where: str
    what: str
    mend: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where} (line {self.line})"
        return f"{place}: {self.what}; {self.mend}"

    def to_wire(self) -> dict[str, object]:
        """The form used in ``details.problems`` of an error envelope."""
        wire: dict[str, object] = {"where": self.where, "what": self.what, "mend": self.mend}
        if self.line is not None:
            wire["line"] = self.line
        return wire


@dataclass(frozen=True, slots=True)
class EnvironmentVariable:
    """A variable that the skill reads; a ``secret`` one has no default and its value is never shown."""

    name: str
    description: str
    secret: bool
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A call of an action: its input, and the ``data`` of the envelope that it may return."""

    description: str
    input: JsonObject
    output: JsonObject


@dataclass(frozen=True, slots=True)
class ActionEntry:
    """One action as the manifest declares it.

    ``errors`` are the codes of its own, beside the manifest's ``common_errors``. ``handler`` is ``"module:function"``.
    """

    name: str
    summary: str
    description: str
    tier: str
    handler: str
    input_path: Path
    output_path: Path
    deadline_seconds: float
    errors: tuple[str, ...]
    examples: tuple[Example, ...]
    _schemas: dict[Path, JsonObject] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def input_schema(self) -> JsonObject:
        """The JSON Schema of the arguments, read at first use; the same object each time. Do not change it."""
        return self._schema(self.input_path)

    @property
    def output_schema(self) -> JsonObject:
        """The JSON Schema of the envelope's ``data``, read at first use; the same object each time. Do not change it."""
        return self._schema(self.output_path)

    def _schema(self, path: Path) -> JsonObject:
        if path not in self._schemas:
            document = read_json(path)
            if document.faults or not isinstance(document.value, dict):
                what = document.faults[0].what if document.faults else "it is not a JSON object"
                raise _invalid(path, [ManifestProblem(f"actions[{self.name}]", f"{path.name}: {what}", "restore the schema file")])
            self._schemas[path] = document.value
        return self._schemas[path]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole ``skill.yaml``; ``source`` is the file that it was read from."""

    name: str
    version: str
    description: str
    when_to_use: str
    requires: Mapping[str, str]
    environment: tuple[EnvironmentVariable, ...]
    common_errors: tuple[str, ...]
    actions: Mapping[str, ActionEntry]
    source: Path
    license: str | None = None
    homepage: str | None = None
    plugin: str | None = None

    def errors_of(self, action: str) -> tuple[str, ...]:
        """Every code that the action may return: its own, then the common ones."""
        return self.actions[action].errors + self.common_errors


def load_manifest(path: Path | None = None) -> Manifest:
    """Read a manifest; ours where no path is given.

    Only its form is looked at. Raises ``InvalidInput`` (``invalid_manifest``) that lists every problem.
    """
    source = bundled("skill.yaml") if path is None else path.absolute()
    document = read_yaml(source)
    if not document.faults:
        try:
            return _manifest(document, source)
        except _OddFormError:
            pass
    # Rare and slow: whoever has to mend the file gets the whole list, not the first stumble.
    problems = check_manifest(source)
    raise _invalid(
        source,
        problems or [ManifestProblem("skill.yaml", "it has not the form of a manifest", "compare it with schemas/skill.schema.json")],
    )


@cache
def own_manifest() -> Manifest:
    """Our own manifest, read once in a process."""
    return load_manifest()


def load_checked_manifest(path: Path, *, check_handlers: bool = False) -> Manifest:
    """Read a manifest that somebody else wrote; raises ``InvalidInput`` (``invalid_manifest``) for any mismatch.

    Without ``check_handlers`` nothing of the skill is imported.
    """
    problems = check_manifest(path, check_handlers=check_handlers)
    if problems:
        raise _invalid(path, problems)
    return load_manifest(path)


def check_manifest(path: Path | None = None, *, check_handlers: bool = False) -> list[ManifestProblem]:
    """Every mismatch of a manifest with its own schema, its schema files, examples, error codes and, if asked, handlers."""
    from netclaw_opencode.manifest_check import mismatches

    return mismatches(bundled("skill.yaml") if path is None else path.absolute(), check_handlers=check_handlers)


class _OddFormError(Exception):
    """The document is plain data, but not a manifest."""


def _manifest(document: Document, source: Path) -> Manifest:
    top = _object(document.value)
    folder = source.parent
    actions = [_action(_object(entry), folder) for entry in _list(top, "actions")]
    if len({action.name for action in actions}) < len(actions):
        raise _OddFormError
    return Manifest(
        name=_text(top, "name"),
        version=_text(top, "version"),
        description=_text(top, "description"),
        when_to_use=_text(top, "when_to_use"),
        license=_optional_text(top, "license"),
        homepage=_optional_text(top, "homepage"),
        plugin=_optional_text(top, "plugin"),
        requires=MappingProxyType({name: str(value) for name, value in _object(top.get("requires", {})).items()}),
        environment=tuple(_variable(_object(entry)) for entry in _list(top, "environment")),
        common_errors=_texts(top, "common_errors"),
        actions=MappingProxyType({action.name: action for action in actions}),
        source=source,
    )


def _action(entry: JsonObject, folder: Path) -> ActionEntry:
    return ActionEntry(
        name=_text(entry, "name"),
        summary=_text(entry, "summary"),
        description=_text(entry, "description"),
        tier=_text(entry, "tier"),
        handler=_text(entry, "handler"),
        input_path=below(folder, _text(entry, "input")),
        output_path=below(folder, _text(entry, "output")),
        deadline_seconds=_number(entry, "deadline_seconds"),
        errors=_texts(entry, "errors"),
        examples=tuple(_example(_object(item)) for item in _list(entry, "examples")),
    )


def _variable(entry: JsonObject) -> EnvironmentVariable:
    secret = entry.get("secret")
    if not isinstance(secret, bool):
        raise _OddFormError
    return EnvironmentVariable(_text(entry, "name"), _text(entry, "description"), secret, _optional_text(entry, "default"))


def _example(entry: JsonObject) -> Example:
    return Example(_text(entry, "description"), _object(entry.get("input")), _object(entry.get("output")))


def below(folder: Path, relative: str) -> Path:
    """The path of a schema file; raises where it would leave the manifest's folder, by ``..`` or by a link."""
    path = folder / relative
    if Path(relative).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise _OddFormError
    return path


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise _OddFormError
    return value


def _list(entry: JsonObject, key: str) -> list[object]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise _OddFormError
    return value


def _texts(entry: JsonObject, key: str) -> tuple[str, ...]:
    values = _list(entry, key)
    if not all(isinstance(value, str) for value in values):
        raise _OddFormError
    return tuple(str(value) for value in values)


def _optional_text(entry: JsonObject, key: str) -> str | None:
    return _text(entry, key) if key in entry else None


def _text(entry: JsonObject, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise _OddFormError
    return value.strip()


def _number(entry: JsonObject, key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _OddFormError
    return value


def _invalid(path: Path, problems: list[ManifestProblem]) -> InvalidInput:
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return InvalidInput(
        "invalid_manifest",
        f"{path}: " + " | ".join(str(problem) for problem in problems[:3]) + more,
        details={"manifest": str(path), "problems": [problem.to_wire() for problem in problems]},
    )


__all__ = [
    "ActionEntry",
    "EnvironmentVariable",
    "Example",
    "Manifest",
    "ManifestProblem",
    "check_manifest",
    "load_checked_manifest",
    "load_manifest",
    "own_manifest",
]
