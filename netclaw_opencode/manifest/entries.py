"""What a ``skill.yaml`` declares, as frozen facts.

Owns the shapes; ``reading`` makes them from the file. An action's schemas are read when asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class ManifestProblem:
    """One mismatch: ``where`` (a key path in the manifest, or a schema file and a path in it), what is wrong, how to fix it.

    ``code`` is stable and stands in the table of ``skill.check.rules``. ``file`` is the schema file, relative to the manifest's
    folder, that ``line`` and ``column`` belong to; without one they belong to the manifest.
    """

    where: str
    what: str
    fix: str
    line: int | None = None
    column: int | None = None
    code: str = "bad_value"
    file: str | None = None

    def __str__(self) -> str:
        place = self.where if self.line is None else f"{self.where} (line {self.line})"
        return f"{place}: {self.what}; {self.fix}"

    def to_wire(self) -> dict[str, object]:
        """Return the form used in ``details.problems`` of an error envelope."""
        wire: dict[str, object] = {"code": self.code, "where": self.where, "what": self.what, "mend": self.fix}
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
    ``hints`` say what a host may tell its user before a call: ``destructive``, ``idempotent``, ``open_world``.
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
    hints: tuple[str, ...] = ()
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
            # Imported here, as in ``reading``: most schemas of ours are known without it.
            from netclaw_opencode._core.documents import read_json

            document = read_json(path)
            if document.faults or not isinstance(document.value, dict):
                what = document.faults[0].what if document.faults else "it is not a JSON object"
                raise invalid(path, [ManifestProblem(f"actions[{self.name}]", f"{path.name}: {what}", "restore the schema file")])
            self._schemas[path] = document.value
        return self._schemas[path]

    def remember(self, schemas: Mapping[Path, JsonObject]) -> None:
        """Take the action's schemas from what was read of many; one that was read already stays the same object."""
        for path in (self.input_path, self.output_path):
            if path in schemas:
                self._schemas.setdefault(path, schemas[path])


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


def invalid(path: Path, problems: list[ManifestProblem]) -> InvalidInput:
    """Return the error that lists every problem of a manifest."""
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return InvalidInput(
        "invalid_manifest",
        f"{path}: " + " | ".join(str(problem) for problem in problems[:3]) + more,
        details={"manifest": str(path), "problems": [problem.to_wire() for problem in problems]},
    )
