"""The input of a batch: JSON Lines, YAML, CSV or a list, read and checked as a whole before anything runs.

Owns the forms, the template, the ids, and the list of everything that is wrong, with its line. What a task may hold is told by the
input schema of ``run_task``.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from netclaw_opencode._core import documents
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.jsontypes import JsonObject

MOST_ITEMS = 200_000
"""As many items as one batch may have: the engine was measured with half of it."""
_MOST_BYTES = 512 * 1024 * 1024
_MOST_LINE_BYTES = 4 * 1024 * 1024
_TOLD = 50
"""As many problems as are told; the rest is counted."""
_ID_LENGTH = 100
PRIORITIES = range(-1000, 1001)
_OWN = ("id", "priority")
_NOT_HERE: Mapping[str, str] = {
    "idempotency_key": "the batch has a key of its own for each item",
    "parent_id": "the servers of a batch know no session from elsewhere",
    "keep_session": "the servers of a batch are its own, and gone with it",
}
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}
_KINDS: Mapping[str, Callable[[str], object]] = {
    "number": float,
    "integer": int,
    "boolean": lambda text: {"true": True, "false": False}[text.strip().lower()],
    "array": json.loads,
    "object": json.loads,
}
"""How a cell of a CSV file is read, by the type of its field; else it is text."""
_WANTED = {"number": "a number", "integer": "a whole number", "boolean": "true or false", "array": "a JSON list", "object": "a JSON object"}


@dataclass(frozen=True, slots=True)
class Item:
    """One task of a batch.

    Attributes:
        id: Its name in the batch.
        spec: What ``run_task`` is given.
        priority: The higher, the earlier.
        digest: What the task is, by content.
    """

    id: str
    spec: JsonObject
    priority: int = 0
    digest: str = ""


@dataclass(slots=True)
class _Problems:
    """What is wrong, so far."""

    told: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, place: str, what: str) -> None:
        self.count += 1
        if len(self.told) < _TOLD:
            self.told.append(f"{place}: {what}")

    def raise_any(self, source: str) -> None:
        if not self.count:
            return
        more = f"; and {self.count - len(self.told)} more" if self.count > len(self.told) else ""
        shown = "; ".join(self.told[:5]) + (f"; and {self.count - 5} more, see details" if self.count > 5 else "")
        raise InvalidInput(
            "invalid_input",
            f"{source} has {self.count} problem{'s' if self.count != 1 else ''}, so nothing was taken in: {shown}",
            details={"problems": self.told, "count": self.count, **({"more": more.strip("; ")} if more else {})},
        )


class Reader:
    """Reads and checks the items of one batch.

    Args:
        template: A prompt with ``{column}`` for each value of a row.
        defaults: Fields of ``run_task`` for items that do not have them.
        check: Refuses, by a ``DriverError``, what no schema can express (a directory, a model); returns what is to be sent.
    """

    def __init__(
        self, *, template: str | None = None, defaults: JsonObject | None = None, check: Callable[[JsonObject], JsonObject]
    ) -> None:
        self._template = _Template(template) if template is not None else None
        self._defaults = dict(defaults or {})
        self._check = check
        self._problems = _Problems()
        schema: JsonObject = json.loads(find_bundled("schemas/actions/run_task.input.json").read_text("utf-8"))
        self._schema = schema
        properties = schema["properties"]
        self._fields = frozenset(properties) if isinstance(properties, Mapping) else frozenset()
        self._types = {name: str(cast("JsonObject", found).get("type")) for name, found in cast("JsonObject", properties).items()}

    def read_file(self, path: Path) -> list[Item]:
        """Read a file by its suffix; raises ``InvalidInput`` with every problem and its line."""
        kind = _SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise InvalidInput("invalid_input", f"{path.name}: the form is told by the suffix, which must be one of {', '.join(_SUFFIXES)}")
        text = _text_of(path)
        rows = {"jsonl": self._json_lines, "yaml": self._yaml, "csv": self._csv}[kind](text)
        return self._items(rows, path.name)

    def read_list(self, given: Iterable[object]) -> list[Item]:
        """Take a list; raises ``InvalidInput`` with every problem and the number of its item, counted from 1."""
        return self._items(((f"item {number}", value) for number, value in enumerate(given, 1)), "items")

    def _items(self, rows: Iterator[tuple[str, object]] | Iterable[tuple[str, object]], source: str) -> list[Item]:
        found: dict[str, Item] = {}
        places: dict[str, str] = {}
        for place, value in rows:
            item = self._item(place, value)
            if item is None:
                continue
            if item.id in found:
                same = "the same task" if item.digest == found[item.id].digest else f"the id {item.id!r}"
                self._problems.add(place, f"{same} stands already in {places[item.id]}; give each an id of its own, or take one out")
            found.setdefault(item.id, item)
            places.setdefault(item.id, place)
            if len(found) > MOST_ITEMS:
                raise InvalidInput("invalid_input", f"{source} holds more than {MOST_ITEMS} items; make several batches of it")
        self._problems.raise_any(source)
        if not found:
            raise InvalidInput("invalid_input", f"{source} holds no item")
        return list(found.values())

    def _item(self, place: str, value: object) -> Item | None:
        if not isinstance(value, Mapping):
            self._problems.add(
                place, f'an item is an object, not {_kind(value)}; such as {{"prompt": "…", "directory": "/home/me/project"}}'
            )
            return None
        before = self._problems.count
        row = {str(name): each for name, each in value.items()}
        item_id, priority = row.pop("id", None), row.pop("priority", 0)
        if item_id is not None and not (isinstance(item_id, str) and 0 < len(item_id) <= _ID_LENGTH and item_id.isprintable()):
            self._problems.add(place, f"id must be one line of 1 to {_ID_LENGTH} characters")
        if isinstance(priority, bool) or not isinstance(priority, int) or priority not in PRIORITIES:
            self._problems.add(place, f"priority must be a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}")
        spec = {**self._defaults, **{name: each for name, each in row.items() if name in self._fields}}
        rest = {name: each for name, each in row.items() if name not in self._fields}
        if self._template is not None and "prompt" not in row:
            problem, text = self._template.fill(row)
            if problem is not None:
                self._problems.add(place, problem)
                return None
            spec["prompt"] = text
        elif rest:
            named = ", ".join(map(repr, sorted(rest)))
            self._problems.add(place, f"unknown: {named}; a task takes {', '.join(sorted(self._fields - set(_NOT_HERE)))}")
        for name, why in _NOT_HERE.items():
            if name in spec:
                self._problems.add(place, f"{name} cannot be given here: {why}")
        if spec.get("on_request") == "return":
            self._problems.add(place, "on_request 'return' cannot be given here: nobody is there to answer; take 'refuse' or 'stop'")
        for problem_of_schema in find_problems(spec, self._schema, incoming=True):
            self._problems.add(place, problem_of_schema.message)
        if self._problems.count > before:
            return None
        try:
            spec = dict(self._check(spec))
        except DriverError as error:
            self._problems.add(place, error.message)
            return None
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        return Item(str(item_id) if item_id is not None else f"item-{digest[:16]}", spec, int(str(priority)), digest)

    def _json_lines(self, text: str) -> Iterator[tuple[str, object]]:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            place = f"line {number}"
            if len(line.encode()) > _MOST_LINE_BYTES:
                self._problems.add(
                    place, f"it is longer than {_MOST_LINE_BYTES // 1024 // 1024} MiB; put the material into a file and name it"
                )
                continue
            document = documents.parse_json(line)
            if document.faults:
                for fault in document.faults:
                    self._problems.add(place, f"{fault.what}; {fault.fix}")
                continue
            yield place, document.value

    def _yaml(self, text: str) -> Iterator[tuple[str, object]]:
        document = documents.parse_yaml(text)
        for fault in document.faults:
            self._problems.add(f"line {fault.line}" if fault.line else "file", f"{fault.what}; {fault.fix}")
        if document.faults:
            return
        if not isinstance(document.value, list):
            self._problems.add("line 1", f"a list of items is wanted, not {_kind(document.value)}")
            return
        for number, value in enumerate(document.value):
            yield f"line {document.line_of((number,)) or number + 1}", value

    def _csv(self, text: str) -> Iterator[tuple[str, object]]:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        try:
            names = reader.fieldnames or []
            if len(set(names)) != len(names) or not all(name.strip() for name in names):
                self._problems.add("line 1", "each column needs a name of its own")
                return
            line = reader.line_num + 1
            for row in reader:
                place, line = f"line {line}", reader.line_num + 1
                if None in row or None in row.values():
                    self._problems.add(place, f"it has not the {len(names)} columns of line 1")
                    continue
                # An empty cell says nothing: a default counts, or the value is left out.
                before = self._problems.count
                cells = {name: self._cell(place, name, cell) for name, cell in row.items() if cell or name not in self._fields | set(_OWN)}
                if self._problems.count == before:
                    yield place, cells
        except csv.Error as error:
            self._problems.add(f"line {reader.line_num}", f"not CSV: {error}; a value with commas, quotes or line ends stands in quotes")

    def _cell(self, place: str, name: str, text: str) -> object:
        kind = "integer" if name == "priority" else self._types.get(name, "")
        if kind not in _KINDS:
            return text
        try:
            return _KINDS[kind](text)
        except (ValueError, KeyError):
            self._problems.add(place, f"{name} must be {_WANTED[kind]}, not {text[:40]!r}")
            return None


class _Template:
    """A prompt with ``{column}`` in it; ``{{`` and ``}}`` stand for braces."""

    def __init__(self, text: str) -> None:
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise InvalidInput("invalid_input", f"prompt_template: {error}; write {{{{ and }}}} for braces of its own") from error
        for _, name, form, conversion in parts:
            # No attributes, indexes or formats: a column is text, and nothing else of it is reached.
            if name is not None and (not name or form or conversion or not name.replace("_", "").replace("-", "").isalnum()):
                shown = f"{{{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}}}"
                raise InvalidInput("invalid_input", f"prompt_template: {shown} is no column; write {{name}}, and {{{{ and }}}} for braces")
        self._parts = [(before, name) for before, name, _, _ in parts]

    def fill(self, row: Mapping[str, object]) -> tuple[str | None, str]:
        """What is wrong, or None, and the prompt of one row."""
        missing = sorted({name for _, name in self._parts if name is not None and name not in row})
        if missing:
            return f"the template's {', '.join(f'{{{name}}}' for name in missing)} is no column here", ""
        return None, "".join(before + (_plain(row[name]) if name is not None else "") for before, name in self._parts)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():  # a folder, a device or a pipe could hang the read
            what = "there is no such file" if not path.exists() else "it is not a regular file"
            raise InvalidInput("invalid_input", f"{path}: {what}; check the path")
        if path.stat().st_size > _MOST_BYTES:
            raise InvalidInput("invalid_input", f"{path} is larger than {_MOST_BYTES // 1024 // 1024} MiB; make several batches of it")
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except OSError as error:
        raise InvalidInput("invalid_input", f"{path} cannot be read: {error.strerror}; check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise InvalidInput("invalid_input", f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error


__all__ = ["MOST_ITEMS", "PRIORITIES", "Item", "Reader"]
