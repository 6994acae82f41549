"""Cut an envelope down until it fits, and leave what matters most whole.

The order of the cuts: long strings, long lists (from their end), numbers deep inside, short strings and lists, and at last whole members
(those that the schema does not require, the deepest first). Pure: ``spill`` writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

JsonPath = tuple[str | int, ...]

PRIORITY_FIELDS = frozenset({"action", "code", "cursor", "directory", "id", "message", "next", "path", "rule", "state", "url"})
"""Strings under these names (and under names that end with ``_id``) are cut last: they are what a caller goes on with."""

_ALL = 1 << 30
_STEPS = ((240, _ALL, _ALL), (240, 5, _ALL), (240, 5, 0), (240, 1, 0), (120, 1, 0), (40, 1, 0), (40, 0, 0))
"""The longest string, the most items of a list, and the most figures deep inside: each step is harsher than the one before."""
_PRIORITY_CHARS = 480
_SHORTEST_PRIORITY = 160
_LONGEST_ACTION = 60
_LONGEST_PLACE = 80
_ENVELOPE_PATHS: frozenset[JsonPath] = frozenset(
    {("ok",), ("action",), ("data",), ("error",), ("error", "code"), ("error", "message"), ("error", "retryable")}
)
"""What every envelope has."""


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """A list or an object that lost items; those nearest to the top, and of these the greatest losses, come first."""

    depth: int
    lost_negative: int
    text: str


@dataclass(slots=True)
class Cut:
    """A cut-down envelope; ``notes`` say which lists and objects lost how much (a cut string says it itself)."""

    envelope: dict[str, object] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The longest string (under a name of ``PRIORITY_FIELDS``: ``kept``), the most items, members of an object, and deep figures."""

    text: int
    kept: int
    items: int
    members: int
    figures: int


def cut_down(envelope: Mapping[str, object], *, room: int, fits: Callable[[Cut], bool], schema: Mapping[str, object] | None = None) -> Cut:
    """Cut the envelope as little as makes it fit.

    Args:
        envelope: The envelope; what every envelope has is never left out, even if ``fits`` then fails.
        room: About the number of characters that there are.
        fits: Whether a cut-down envelope is short enough.
        schema: The schema of the envelope's ``data``; what it requires is left out last.
    """
    required = frozenset(_required_paths(envelope.get("data"), schema or {}, schema or {}, ("data",)))
    # Where even the frame that the schema wants is too large, a reader has more of the text than of the figures.
    for spared in (required, frozenset[JsonPath]()):
        attempt = _Attempt(envelope, room, fits, tuple(sorted(_scalar_paths(envelope, (), spared), key=len)))
        found = attempt.steps()
        if found is not None:
            return found
    for kept in (attempt.widest.kept, _SHORTEST_PRIORITY):
        thin = attempt.cut(replace(attempt.harshest, kept=kept), harsh=True)
        if _drop_members(thin, fits, required, everything=kept == _SHORTEST_PRIORITY):
            return thin
    return _shorten_frame(thin, fits)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Cutting while certain figures may be left out, the first of them last."""

    envelope: Mapping[str, object]
    room: int
    fits: Callable[[Cut], bool]
    figures: tuple[JsonPath, ...]

    @property
    def widest(self) -> _Limits:
        """Within these limits everything is, that can fit at all."""
        kept = max(_SHORTEST_PRIORITY, min(_PRIORITY_CHARS, self.room // 4))
        return _Limits(text=self.room, kept=kept, items=self.room // 2, members=self.room // 4, figures=len(self.figures))

    @property
    def harshest(self) -> _Limits:
        """The last of the steps."""
        return self._limits(*_STEPS[-1])

    def _limits(self, text: int, items: int, figures: int) -> _Limits:
        widest = self.widest
        return replace(widest, text=min(text, widest.text), items=min(items, widest.items), figures=min(figures, widest.figures))

    def steps(self) -> Cut | None:
        """Return the first step that fits, loosened as far as it goes on fitting; None if no step does."""
        for step in _STEPS:
            limits = self._limits(*step)
            if self._enough(limits):
                for name in ("items", "figures", "text"):
                    limits = _widen(limits, name, getattr(self.widest, name), self._enough)
                return self.cut(limits)
        return None

    def cut(self, limits: _Limits, *, harsh: bool = False) -> Cut:
        """Return the envelope within the limits; raises ``_TooManyValuesError`` if that cannot fit, unless ``harsh``."""
        made = Cut()
        work = _Cutter(limits, frozenset(self.figures[limits.figures :]), made.notes, most=self.room, harsh=harsh)
        made.envelope = {name: work.cut(value, (name,)) for name, value in self.envelope.items()}
        return made

    def _enough(self, limits: _Limits) -> bool:
        try:
            return self.fits(self.cut(limits))
        except _TooManyValuesError:
            return False


def _scalar_paths(value: Mapping[str, object], place: JsonPath, required: frozenset[JsonPath]) -> Iterator[JsonPath]:
    """Numbers and the like in objects within objects of the result: the first that one can do without."""
    for name, item in value.items():
        at = (*place, name)
        if isinstance(item, Mapping):
            yield from _scalar_paths(item, at, required)
        elif (
            not isinstance(item, str | list | tuple)
            and len(at) >= (3 if at[0] == "data" else 4)
            and not (at in required or _is_priority(at))
        ):
            yield at


def _widen(limits: _Limits, name: str, most: int, fits: Callable[[_Limits], bool]) -> _Limits:
    """Return the limits with the largest value of one of them that still fits."""
    least = getattr(limits, name)
    if fits(replace(limits, **{name: most})):
        least = most
    while least < most:
        middle = (least + most + 1) // 2
        if fits(replace(limits, **{name: middle})):
            least = middle
        else:
            most = middle - 1
    return replace(limits, **{name: least})


class _TooManyValuesError(Exception):
    """There are more values than characters."""


@dataclass(slots=True)
class _Cutter:
    """One way of cutting; ``notes`` gets what lists and objects lose.

    Beyond ``most`` values nothing can fit any more, so the rest is not looked at: what is left out then is all that is deep.
    """

    limits: _Limits
    gone: frozenset[JsonPath]
    notes: list[Note]
    most: int
    harsh: bool
    seen: int = 0

    def cut(self, value: object, place: JsonPath) -> object:
        self.seen += 1
        if self.seen > self.most and not self.harsh:
            raise _TooManyValuesError
        if isinstance(value, str):
            return cut_text(value, self.limits.kept if _is_priority(place) else self.limits.text)
        if isinstance(value, Mapping):
            names = list(value)
            if len(names) > self.limits.members:
                # Stable: those that are kept come first, the rest in their order.
                names = sorted(names, key=lambda name: not _is_priority((*place, name)))[: self.limits.members]
                self.notes.append(_note(place, len(names), len(value)))
            kept = {name: self.cut(value[name], (*place, name)) for name in names if not self._is_gone((*place, name))}
            if len(kept) < len(names):
                self.notes.append(_note(place, len(kept), len(value)))
            return kept
        if isinstance(value, list | tuple):
            items = value[: self.limits.items]
            if len(value) > len(items):
                self.notes.append(_note(place, len(items), len(value)))
            return [self.cut(item, (*place, position)) for position, item in enumerate(items)]
        return value

    def _is_gone(self, place: JsonPath) -> bool:
        return place in self.gone or (self.seen > self.most and len(place) > 2)


def cut_text(text: str, longest: int) -> str:
    """Return the beginning of the text with a mark of how much is left out, in at most ``longest`` characters."""
    if len(text) <= longest:
        return text
    mark = f"…[+{len(text) - longest}]"
    # Room for the mark makes the number grow, by one digit at most.
    mark = f"…[+{len(text) - longest + len(mark)}]"
    mark = f"…[+{len(text) - longest + len(mark)}]"
    return text[: longest - len(mark)] + mark if longest > len(mark) else text[:longest]


def _is_priority(place: JsonPath) -> bool:
    name = next((step for step in reversed(place) if isinstance(step, str)), "")
    return name in PRIORITY_FIELDS or name.endswith("_id")


def _note(place: JsonPath, kept: int, length: int) -> Note:
    pointer = "".join(f"/{step}" for step in place)
    return Note(len(place), kept - length, f"{cut_text(pointer, _LONGEST_PLACE)}: {kept} of {length}")


def _drop_members(cut: Cut, fits: Callable[[Cut], bool], required: frozenset[JsonPath], *, everything: bool) -> bool:
    """Leave members out until it fits: first what is not required, then what is not of ``PRIORITY_FIELDS``, then ``everything``."""
    spared: list[Callable[[JsonPath], bool]] = [lambda place: place in required or _is_priority(place), _is_priority]
    for spare in [*spared, _spares_nothing] if everything else spared:
        # What lost its last member is a leaf itself in the next round.
        while leaves := sorted(_removable_leaves(cut.envelope, (), spare), key=lambda leaf: (-len(leaf[1]), -leaf[0])):
            count = _find_fewest(len(leaves), lambda number: fits(_without_leaves(cut, leaves[:number])))
            left = _without_leaves(cut, leaves[:count])
            cut.envelope, cut.notes = left.envelope, left.notes
            if fits(cut):
                return True
    return False


def _spares_nothing(_place: JsonPath) -> bool:
    return False


def _find_fewest(most: int, enough: Callable[[int], bool]) -> int:
    """Return the smallest number from 1 on that is enough, or ``most``."""
    least = 1
    while least < most:
        middle = (least + most) // 2
        if enough(middle):
            most = middle
        else:
            least = middle + 1
    return least


def _removable_leaves(value: Mapping[str, object], place: JsonPath, spare: Callable[[JsonPath], bool]) -> Iterator[tuple[int, JsonPath]]:
    """Every member that may be left out and holds no other member that may, or must not be, with its length."""
    for name, item in value.items():
        at = (*place, name)
        if isinstance(item, Mapping) and item:
            below = list(_removable_leaves(item, at, spare))
            yield from below
            if below or any(_is_priority((*at, inner)) or isinstance(found, Mapping) for inner, found in item.items()):
                continue
        if at not in _ENVELOPE_PATHS and not spare(at):
            # Lists of objects were emptied or have one item: they go as one.
            yield len(name) + len(json.dumps(item, default=str)), at


def _without_leaves(cut: Cut, leaves: list[tuple[int, JsonPath]]) -> Cut:
    return Cut(_without_paths(cut.envelope, (), {place for _, place in leaves}), cut.notes)


def _without_paths(value: Mapping[str, object], place: JsonPath, gone: set[JsonPath]) -> dict[str, object]:
    return {
        name: _without_paths(item, (*place, name), gone) if isinstance(item, Mapping) else item
        for name, item in value.items()
        if (*place, name) not in gone
    }


def _required_paths(value: object, schema: Mapping[str, object], root: Mapping[str, object], place: JsonPath) -> Iterator[JsonPath]:
    """Return the members that the schema wants, as far as it is made of properties and references within itself."""
    reference = schema.get("$ref")
    if isinstance(reference, str):
        found: object = root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        schema = found if isinstance(found, Mapping) else {}
    if not isinstance(value, Mapping):
        return
    wanted, properties = schema.get("required"), schema.get("properties")
    for name, item in value.items():
        if isinstance(wanted, list) and name in wanted:
            yield (*place, name)
        below = properties.get(name) if isinstance(properties, Mapping) else None
        if isinstance(below, Mapping):
            yield from _required_paths(item, below, root, (*place, name))


def _shorten_frame(cut: Cut, fits: Callable[[Cut], bool]) -> Cut:
    """Only what every envelope has is left: its own texts become shorter and shorter."""
    cut.notes = []
    action, error = str(cut.envelope.get("action", ""))[:_LONGEST_ACTION], cut.envelope.get("error")
    cut.envelope["action"] = action
    message = str(error.get("message", "")) if isinstance(error, Mapping) else ""
    length = len(message)
    while isinstance(error, Mapping) and length > 1 and not fits(cut):
        length = length * 3 // 4
        cut.envelope["error"] = {**error, "message": cut_text(message, length)}
    return cut


__all__ = ["PRIORITY_FIELDS", "Cut", "cut_down", "cut_text"]
