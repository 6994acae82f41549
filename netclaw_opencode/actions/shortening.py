"""An envelope cut down until it fits, with what matters most left whole.

Owns the order of the cuts: long strings first, then long lists (from their end), then figures deep inside, then short strings and
lists, and at last whole members (those that the schema does not require, the deepest first). It knows no action, no file and
no way of writing; ``spill`` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

Place = tuple[str | int, ...]

KEPT = frozenset({"action", "code", "cursor", "directory", "id", "message", "next", "path", "rule", "state", "url"})
"""Strings under these names (and under names that end with ``_id``) are cut last: they are what a caller goes on with."""

_ALL = 1 << 30
_STEPS = ((240, _ALL, _ALL), (240, 5, _ALL), (240, 5, 0), (240, 1, 0), (120, 1, 0), (40, 1, 0), (40, 0, 0))
"""The longest string, the most items of a list, and the most figures deep inside: each step is harsher than the one before."""
_KEPT_CHARS = 480
_SHORTEST_KEPT = 160
_LONGEST_ACTION = 60
_LONGEST_PLACE = 80
_ALWAYS: frozenset[Place] = frozenset(
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
    """A cut-down envelope; ``notes`` tell which lists and objects lost how much (a cut string says it itself)."""

    envelope: dict[str, object] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Limits:
    """The longest string, the longest string under a name of ``KEPT``, the most items, members of an object, and deep figures."""

    text: int
    kept: int
    items: int
    members: int
    figures: int


def cut_down(envelope: Mapping[str, object], *, room: int, fits: Callable[[Cut], bool], schema: Mapping[str, object] | None = None) -> Cut:
    """The envelope cut as little as makes it fit; ``room`` is about the number of characters that there are.

    ``schema`` describes the envelope's ``data``: what it requires is left out last. What every envelope has is never left
    out, so a ``fits`` that wants less than that is not met.
    """
    required = frozenset(_required(envelope.get("data"), schema or {}, schema or {}, ("data",)))
    # Where even the frame that the schema wants is too large, a reader has more of the text than of the figures.
    for spared in (required, frozenset[Place]()):
        attempt = _Attempt(envelope, room, fits, tuple(sorted(_figures(envelope, (), spared), key=len)))
        found = attempt.steps()
        if found is not None:
            return found
    for kept in (attempt.widest.kept, _SHORTEST_KEPT):
        thin = attempt.cut(replace(attempt.harshest, kept=kept), harsh=True)
        if _thinned(thin, fits, required, everything=kept == _SHORTEST_KEPT):
            return thin
    return _last(thin, fits)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Cutting while certain figures may be left out, the first of them last."""

    envelope: Mapping[str, object]
    room: int
    fits: Callable[[Cut], bool]
    figures: tuple[Place, ...]

    @property
    def widest(self) -> _Limits:
        """Within these limits everything is, that can fit at all."""
        kept = max(_SHORTEST_KEPT, min(_KEPT_CHARS, self.room // 4))
        return _Limits(text=self.room, kept=kept, items=self.room // 2, members=self.room // 4, figures=len(self.figures))

    @property
    def harshest(self) -> _Limits:
        """The last of the steps."""
        return self._limits(*_STEPS[-1])

    def _limits(self, text: int, items: int, figures: int) -> _Limits:
        widest = self.widest
        return replace(widest, text=min(text, widest.text), items=min(items, widest.items), figures=min(figures, widest.figures))

    def steps(self) -> Cut | None:
        """The first step that fits, loosened as far as it goes on fitting; None where no step does."""
        for step in _STEPS:
            limits = self._limits(*step)
            if self._enough(limits):
                for name in ("items", "figures", "text"):
                    limits = _widened(limits, name, getattr(self.widest, name), self._enough)
                return self.cut(limits)
        return None

    def cut(self, limits: _Limits, *, harsh: bool = False) -> Cut:
        """The envelope within the limits; raises ``_TooMuch`` where that cannot fit, unless ``harsh``."""
        made = Cut()
        work = _Cutting(limits, frozenset(self.figures[limits.figures :]), made.notes, most=self.room, harsh=harsh)
        made.envelope = {name: work.cut(value, (name,)) for name, value in self.envelope.items()}
        return made

    def _enough(self, limits: _Limits) -> bool:
        try:
            return self.fits(self.cut(limits))
        except _TooMuch:
            return False


def _figures(value: Mapping[str, object], place: Place, required: frozenset[Place]) -> Iterator[Place]:
    """Numbers and the like in objects within objects of the result: the first that one can do without."""
    for name, item in value.items():
        at = (*place, name)
        if isinstance(item, Mapping):
            yield from _figures(item, at, required)
        elif not isinstance(item, str | list | tuple) and len(at) >= (3 if at[0] == "data" else 4) and not (at in required or _is_kept(at)):
            yield at


def _widened(limits: _Limits, name: str, most: int, fits: Callable[[_Limits], bool]) -> _Limits:
    """The limits with the largest value of one of them that still fits."""
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


class _TooMuch(Exception):
    """There are more values than characters."""


@dataclass(slots=True)
class _Cutting:
    """One way of cutting; ``notes`` gets what lists and objects lose.

    Beyond ``most`` values nothing can fit any more, so the rest is not looked at: what is left out then is all that is deep.
    """

    limits: _Limits
    gone: frozenset[Place]
    notes: list[Note]
    most: int
    harsh: bool
    seen: int = 0

    def cut(self, value: object, place: Place) -> object:
        self.seen += 1
        if self.seen > self.most and not self.harsh:
            raise _TooMuch
        if isinstance(value, str):
            return cut_text(value, self.limits.kept if _is_kept(place) else self.limits.text)
        if isinstance(value, Mapping):
            names = list(value)
            if len(names) > self.limits.members:
                # Stable: those that are kept come first, the rest in their order.
                names = sorted(names, key=lambda name: not _is_kept((*place, name)))[: self.limits.members]
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

    def _is_gone(self, place: Place) -> bool:
        return place in self.gone or (self.seen > self.most and len(place) > 2)


def cut_text(text: str, longest: int) -> str:
    """The beginning of the text with a mark of how much is left out, in at most ``longest`` characters."""
    if len(text) <= longest:
        return text
    mark = f"…[+{len(text) - longest}]"
    # Room for the mark makes the number grow, by one digit at most.
    mark = f"…[+{len(text) - longest + len(mark)}]"
    mark = f"…[+{len(text) - longest + len(mark)}]"
    return text[: longest - len(mark)] + mark if longest > len(mark) else text[:longest]


def _is_kept(place: Place) -> bool:
    name = next((step for step in reversed(place) if isinstance(step, str)), "")
    return name in KEPT or name.endswith("_id")


def _note(place: Place, kept: int, length: int) -> Note:
    pointer = "".join(f"/{step}" for step in place)
    return Note(len(place), kept - length, f"{cut_text(pointer, _LONGEST_PLACE)}: {kept} of {length}")


def _thinned(cut: Cut, fits: Callable[[Cut], bool], required: frozenset[Place], *, everything: bool) -> bool:
    """Leave members out until it fits: first what is not required, then what is not of ``KEPT``, then ``everything``."""
    spared: list[Callable[[Place], bool]] = [lambda place: place in required or _is_kept(place), _is_kept]
    for spare in [*spared, _spares_nothing] if everything else spared:
        # What lost its last member is a leaf itself in the next round.
        while leaves := sorted(_leaves(cut.envelope, (), spare), key=lambda leaf: (-len(leaf[1]), -leaf[0])):
            count = _fewest(len(leaves), lambda number: fits(_without(cut, leaves[:number])))
            left = _without(cut, leaves[:count])
            cut.envelope, cut.notes = left.envelope, left.notes
            if fits(cut):
                return True
    return False


def _spares_nothing(_place: Place) -> bool:
    return False


def _fewest(most: int, enough: Callable[[int], bool]) -> int:
    """The smallest number from 1 on that is enough, or ``most``."""
    least = 1
    while least < most:
        middle = (least + most) // 2
        if enough(middle):
            most = middle
        else:
            least = middle + 1
    return least


def _leaves(value: Mapping[str, object], place: Place, spare: Callable[[Place], bool]) -> Iterator[tuple[int, Place]]:
    """Every member that may be left out and holds no other member that may, or must not be, with its length."""
    for name, item in value.items():
        at = (*place, name)
        if isinstance(item, Mapping) and item:
            below = list(_leaves(item, at, spare))
            yield from below
            if below or any(_is_kept((*at, inner)) or isinstance(found, Mapping) for inner, found in item.items()):
                continue
        if at not in _ALWAYS and not spare(at):
            # Lists of objects were emptied or have one item: they go as one.
            yield len(name) + len(json.dumps(item, default=str)), at


def _without(cut: Cut, leaves: list[tuple[int, Place]]) -> Cut:
    return Cut(_left(cut.envelope, (), {place for _, place in leaves}), cut.notes)


def _left(value: Mapping[str, object], place: Place, gone: set[Place]) -> dict[str, object]:
    return {
        name: _left(item, (*place, name), gone) if isinstance(item, Mapping) else item
        for name, item in value.items()
        if (*place, name) not in gone
    }


def _required(value: object, schema: Mapping[str, object], root: Mapping[str, object], place: Place) -> Iterator[Place]:
    """The members that the schema wants, as far as it is made of properties and references within itself."""
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
            yield from _required(item, below, root, (*place, name))


def _last(cut: Cut, fits: Callable[[Cut], bool]) -> Cut:
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


__all__ = ["KEPT", "Cut", "cut_down", "cut_text"]
