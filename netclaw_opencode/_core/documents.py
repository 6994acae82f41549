"""Reading YAML and JSON files that strangers may have written, strictly and with the place of every fault.

Owns the syntax: what is read is plain JSON values or a list of problems, never an object, a guess or a crash. From YAML it
takes maps, lists, text, numbers, ``true``, ``false`` and ``null``; tags, anchors, aliases, merge keys, duplicate keys and
several documents are refused, and ``yes`` or ``2026-01-01`` are text. It must not know what a document means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from yaml.events import Event

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 60

Steps = tuple[str | int, ...]

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?\Z")
# A string, a bracket, or a run of anything else; in valid JSON the rest are numbers and constants.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}


FaultKind = Literal["unreadable", "not_utf8", "syntax", "duplicate_key", "not_plain", "too_deep"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a file that is not plain data; ``line`` and ``column`` count from 1."""

    what: str
    fix: str
    line: int | None = None
    column: int | None = None
    kind: FaultKind = "syntax"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds. Where there are ``faults``, ``value`` is only what could be read around them.

    ``whole`` is false where the reading had to stop before the end.
    """

    value: object
    faults: tuple[Fault, ...] = ()
    whole: bool = True
    lines: Mapping[Steps, int] = field(default_factory=dict, repr=False)
    columns: Mapping[Steps, int] = field(default_factory=dict, repr=False, compare=False)

    def line_of(self, steps: Steps) -> int | None:
        """Return the line of the value at ``steps``, or of the nearest thing around it."""
        return self.place_of(steps)[0]

    def place_of(self, steps: Steps) -> tuple[int | None, int | None]:
        """Line and column of the value at ``steps`` (of its key in a map), or of the nearest thing around it."""
        while steps and steps not in self.lines:
            steps = steps[:-1]
        return self.lines.get(steps), self.columns.get(steps)


def read_yaml(path: Path) -> Document:
    """Read one YAML document; never raises for what is in the file, nor for a file that cannot be read."""
    text = read_text(path)
    return _unreadable(text) if isinstance(text, Fault) else parse_yaml(text)


def parse_yaml(text: str) -> Document:
    """``read_yaml`` for a text that is at hand, such as the frontmatter of a page."""
    import yaml

    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _YamlReader()
    try:
        loader = loader_class(text)
        try:
            # Events, not nodes: composing nodes recurses in C and ends the process at some 60,000 levels.
            while reader.wants_more and loader.check_event():
                reader.take(loader.get_event())
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        reader.faults.append(Fault(f"not YAML: {what}", "correct the syntax at that line", line, column))
        reader.wants_more = False
    return Document(reader.value, tuple(reader.faults), reader.wants_more, reader.lines, reader.columns)


def read_json(path: Path, *, places: bool = False) -> Document:
    """Read one JSON document; never raises for what is in the file, nor for a file that cannot be read.

    ``places`` also notes where each value stands, which is needed to report what it means.
    """
    text = read_text(path)
    return _unreadable(text) if isinstance(text, Fault) else parse_json(text, places=places)


def parse_json(text: str, *, places: bool = False) -> Document:
    """``read_json`` for a text that is at hand."""
    odd = False

    def object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal odd
        result = dict(pairs)
        odd |= len(result) < len(pairs)
        return result

    def constant(_: str) -> None:
        nonlocal odd
        odd = True

    try:
        value: object = json.loads(text, object_pairs_hook=object_of, parse_constant=constant)
    except json.JSONDecodeError as error:
        what = f"not JSON: {error.msg} (column {error.colno})"
        return _unreadable(Fault(what, "correct the syntax at that line", error.lineno, error.colno))
    except (RecursionError, ValueError):  # nested too deeply; a number of thousands of digits
        what = "it is nested too deeply, or holds a number too large to read"
        return _unreadable(Fault(what, "make it flatter and smaller", kind="too_deep"))
    if not odd and not places:
        return Document(value)
    lines, columns, faults = _json_places(text)
    return Document(value, tuple(faults), True, lines, columns)


def _json_places(text: str) -> tuple[dict[Steps, int], dict[Steps, int], list[Fault]]:
    """Line and column of each value of a text that Python read as JSON (of its key in an object), and what JSON has not.

    A loop, since the nesting is a stranger's.
    """
    faults: list[Fault] = []
    lines: dict[Steps, int] = {}
    columns: dict[Steps, int] = {}
    open_: list[_Open] = []
    line, line_start, seen = 1, 0, 0
    for token in _JSON_TOKEN.finditer(text):
        line += text.count("\n", seen, token.start())
        line_start = max(line_start, text.rfind("\n", seen, token.start()) + 1)
        seen, word = token.start(), token[0]
        if word in ",:":
            continue
        if word in "}]":
            open_.pop()
            continue
        inside = open_[-1] if open_ else None
        if inside is None:
            steps: Steps = ()
        elif isinstance(inside.container, list):
            steps = (*inside.steps, len(inside.container))
            inside.container.append(None)
        elif inside.key is None:
            inside.key = str(json.loads(word))
            steps = (*inside.steps, inside.key)
            if steps in lines:
                what = f"the key {inside.key[:60]!r} stands twice in one object"
                faults.append(Fault(what, "keep one of them", line, token.start() - line_start + 1, "duplicate_key"))
        else:
            steps, inside.key = (*inside.steps, inside.key), None
        if word in ("NaN", "Infinity", "-Infinity"):
            faults.append(Fault(f"{word} is not JSON", "write a finite number", line, token.start() - line_start + 1))
        if steps not in lines:
            lines[steps], columns[steps] = line, token.start() - line_start + 1
        if word in "{[":
            open_.append(_Open({} if word == "{" else [], steps))
    return lines, columns, faults


def _unreadable(fault: Fault) -> Document:
    return Document(None, (fault,), whole=False)


def read_text(path: Path, *, limit: int = MAX_BYTES) -> str | Fault:
    """Return a text file of at most ``limit`` bytes, without the mark of its byte order; what keeps it from being read is the fault."""
    raw = read_bytes(path, limit=limit)
    if isinstance(raw, Fault):
        return raw
    try:
        return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Fault(f"it is not UTF-8 (byte {error.start})", "save it as UTF-8", line, kind="not_utf8")


def read_bytes(path: Path, *, limit: int = MAX_BYTES) -> bytes | Fault:
    """Return a regular file of at most ``limit`` bytes; never waits for a pipe or a device."""
    try:
        if not path.is_file():  # a folder, a device or a pipe could hang the read
            what = "there is no such file" if not path.exists() else "it is not a regular file"
            return Fault(what, "check the path", kind="unreadable")
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        return Fault(f"it cannot be read: {reason}", "check the path and its permissions", kind="unreadable")
    return Fault(f"it is larger than {limit} bytes", "make it smaller", kind="unreadable") if len(raw) > limit else raw


@dataclass(slots=True)
class _Open:
    """A map or list whose end has not been read yet; ``key`` is the map key that waits for its value."""

    container: dict[str, object] | list[object]
    steps: Steps
    key: str | None = None
    drop: bool = False


class _YamlReader:
    """Builds plain values from YAML events, without recursion."""

    def __init__(self) -> None:
        self.value: object = None
        self.faults: list[Fault] = []
        self.lines: dict[Steps, int] = {}
        self.columns: dict[Steps, int] = {}
        self.wants_more = True
        self._column = 0
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: Event) -> None:
        line = 0 if event.start_mark is None else event.start_mark.line + 1
        self._column = 0 if event.start_mark is None else event.start_mark.column + 1
        match type(event).__name__:
            case "ScalarEvent":
                self._plain(event, line)
                self._scalar(event, line)
            case "MappingStartEvent":
                self._plain(event, line)
                self._start({}, line)
            case "SequenceStartEvent":
                self._plain(event, line)
                self._start([], line)
            case "MappingEndEvent" | "SequenceEndEvent":
                self._open.pop()
            case "AliasEvent":
                self._fault("an alias (*name) is not allowed", "write the value out", line)
                self._place(None, line)
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    self._stop("a second document begins", "keep one document in the file", line)

    def _fault(self, what: str, fix: str, line: int, kind: FaultKind = "not_plain") -> None:
        self.faults.append(Fault(what, fix, line, self._column, kind))

    def _note(self, steps: Steps, line: int) -> None:
        self.lines[steps] = line
        self.columns[steps] = self._column

    def _stop(self, what: str, fix: str, line: int, kind: FaultKind = "not_plain") -> None:
        self._fault(what, fix, line, kind)
        self.wants_more = False

    def _plain(self, event: Event, line: int) -> None:
        if getattr(event, "anchor", None) is not None:
            self._fault("an anchor (&name) is not allowed", "write the value out where it is needed", line)
        if getattr(event, "tag", None) is not None:
            self._fault("a tag (!name) is not allowed", "leave it out; quote the value to make it text", line)

    def _waits_for_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].container, dict) and self._open[-1].key is None

    def _scalar(self, event: Event, line: int) -> None:
        text: str = getattr(event, "value", "")
        quoted = bool(getattr(event, "style", None))  # None or "" for plain ones, as the two loaders have it
        if not self._waits_for_key():
            self._place(text if quoted else _parse_scalar(text), line)
            return
        place = self._open[-1]
        place.key = text
        if not quoted and (text == "<<" or not isinstance(_parse_scalar(text), str)):
            self._fault(f"the key {text[:60]!r} is not text", "quote it, or write merged values out", line)
        place.drop = text in place.container
        if place.drop:
            first = self.lines.get((*place.steps, text))
            self._fault(f"the key {text[:60]!r} stands twice in one map (first in line {first})", "keep one of them", line, "duplicate_key")
        else:
            self._note((*place.steps, text), line)

    def _start(self, container: dict[str, object] | list[object], line: int) -> None:
        if self._waits_for_key():
            self._stop("a map or list is used as a key", "use text as the key", line)
            return
        steps = self._place(container, line)
        self._open.append(_Open(container, steps))
        if len(self._open) > MAX_DEPTH:
            self._stop(f"it is nested deeper than {MAX_DEPTH} levels", "make it flatter", line, "too_deep")

    def _place(self, value: object, line: int) -> Steps:
        if not self._open:
            self.value = value
            self._note((), line)
            return ()
        place = self._open[-1]
        if isinstance(place.container, list):
            steps: Steps = (*place.steps, len(place.container))
            place.container.append(value)
            self._note(steps, line)
            return steps
        key, place.key = place.key or "", None
        if not place.drop:
            place.container[key] = value
        return (*place.steps, key)


def _parse_scalar(text: str) -> object:
    """Return a plain scalar as JSON would see it; whatever JSON does not know is text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Document",
    "Fault",
    "FaultKind",
    "Steps",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "read_json",
    "read_text",
    "read_yaml",
]
