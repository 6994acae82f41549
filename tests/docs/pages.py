"""Our own pages, read by machine: their blocks, their commands, and whether shown output is what really comes.

Owns the two liberties that a page may take with an output: ``…`` for what was left out, and other ids, numbers, times and
paths than those of this run. It runs nothing by itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.flags import arguments_from
from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[2]
HOME = "/home/me"
"""Where the projects of our pages stand."""

LEFT_OUT = "…"
_BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID_TEXT = r"\b(?:(?:ses|msg|per|que)_[0-9A-Za-z]{10,64}|(?:busy|waiting)-[0-9A-Za-z]{8}-\d+)\b"
_ID = re.compile(_ID_TEXT)
_VARIES = re.compile(rf"(?P<id>{_ID_TEXT})|(?P<time>\d{{4}}-\d\d-\d\dT[\d:.]+Z)|(?P<number>\d+(?:[.,]\d+)*)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the word behind the fence, and what stands in it."""

    kind: str
    text: str


def page(name: str) -> str:
    """The text of a page, by its path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(kind, code) for kind, code in _BLOCK.findall(text)]


def commands_of(text: str) -> list[str]:
    """Every command of ours in the page's blocks, and every one in backquotes that has more words than the program's name."""
    lines = [line.removeprefix("$ ") for block in blocks_of(text) for line in block.text.splitlines()]
    found = [line for line in lines if line.startswith(f"{PROGRAM} ")]
    return found + re.findall(rf"`({PROGRAM} [^`]+)`", _BLOCK.sub("", text))


@dataclass(frozen=True, slots=True)
class Call:
    """What a command line asks for."""

    action: str
    arguments: Mapping[str, object]


def call_of(command: str) -> Call | None:
    """Parse a command as the program itself does, without running it; None where it is no action (``demo``, ``--help``).

    Raises ``click.UsageError`` or ``InvalidInput`` for a command that would be refused, ``AssertionError`` for arguments
    that break the action's schema.
    """
    words = shlex.split(command)
    assert words[0] == PROGRAM, command
    if words[-1] in ("--help", "-h", "--version"):
        words.pop()
    found: click.Command = app._root()
    context = click.Context(found, info_name=PROGRAM, token_normalize_func=lambda token: token.replace("_", "-"))
    rest = words[1:]
    while isinstance(found, click.Group) and rest:
        name, command_found, rest = found.resolve_command(context, rest)
        assert command_found is not None, command
        found = command_found
        if isinstance(found, click.Group):
            context = click.Context(found, parent=context, info_name=name)
    if isinstance(found, click.Group) or command.endswith(("--help", "-h")):
        return None
    context = found.make_context(found.name, rest, parent=context)
    if not isinstance(found, app._Action):
        return None
    arguments = arguments_from(context.params, found.flags)
    entry = found._entry
    problems = find_problems(arguments, entry.input_schema, incoming=True)
    assert not problems, f"{command}: {'; '.join(problem.message for problem in problems)}"
    return Call(entry.name, arguments)


@dataclass(slots=True)
class Names:
    """Which of our ids and paths stand for those of the page."""

    home: Path
    ours: dict[str, str] = field(default_factory=dict)

    def in_command(self, command: str) -> str:
        """The page's command with the ids and paths of this run."""
        return _ID.sub(lambda match: self.ours.get(match[0], match[0]), command).replace(HOME, str(self.home))

    def differences(self, shown: object, real: object, where: str = "output") -> list[str]:
        """Where an output of this run is another one than the page shows."""
        if isinstance(shown, dict) and isinstance(real, dict):
            rest = {name: part for name, part in shown.items() if name != LEFT_OUT}
            odd = rest.keys() - real.keys() if LEFT_OUT in shown else rest.keys() ^ real.keys()
            there = [name for name in rest if name in real]
            inside = [found for name in there for found in self.differences(rest[name], real[name], f"{where}.{name}")]
            return [f"{where}.{name} stands on one side only" for name in sorted(odd)] + inside
        if isinstance(shown, list) and isinstance(real, list):
            return self._lists(shown, real, where)
        if isinstance(shown, bool) or isinstance(real, bool) or shown is None:
            return [] if shown is real else [f"{where} is {real!r}, not {shown!r}"]
        if isinstance(shown, int | float) and isinstance(real, int | float):
            return []
        if isinstance(shown, str) and isinstance(real, str):
            return self._texts(shown, real, where)
        return [f"{where} is {real!r}, not {shown!r}"]

    def _lists(self, shown: list[object], real: list[object], where: str) -> list[str]:
        if LEFT_OUT not in shown:
            if len(shown) != len(real):
                return [f"{where} has {len(real)} items, not {len(shown)}"]
            pairs = enumerate(zip(shown, real, strict=True))
            return [found for position, (part, item) in pairs for found in self.differences(part, item, f"{where}[{position}]")]
        rest = iter(real)
        for part in (part for part in shown if part != LEFT_OUT):
            # A try must not name anything: only the item that fits does.
            if not any(not Names(self.home, dict(self.ours)).differences(part, item) and not self.differences(part, item) for item in rest):
                return [f"{where} has no item (in this order) such as {part!r}"]
        return []

    def _texts(self, shown: str, real: str, where: str) -> list[str]:
        for theirs, ours in zip(_ID.findall(shown), _ID.findall(real), strict=False):
            if self.ours.setdefault(theirs, ours) != ours:
                return [f"{where} names {ours} where the page means {self.ours[theirs]}"]
        return [] if fits(shown, real, home=self.home) else [f"{where} is {real!r}, not {shown!r}"]


def fits(shown: str, real: str, *, home: Path) -> bool:
    """Whether a text is the one shown, but for ids, numbers, times, the folder of the projects and what ``…`` stands for."""
    pattern = ".*".join(re.escape(piece) for piece in masked(shown).split(LEFT_OUT))
    return re.fullmatch(pattern, masked(real.replace(str(home), HOME)), re.DOTALL) is not None


def masked(text: str) -> str:
    """The text with the same mark for each id, time and number."""
    return _VARIES.sub(lambda match: {"id": "<id>", "time": "<time>"}.get(match.lastgroup or "", "<n>"), text)


def broken_promises(action: str, envelope: object) -> Sequence[str]:
    """Where an output shown breaks the action's schema, for all that was not left out."""
    assert isinstance(envelope, dict)
    if envelope.get("ok") is not True:
        return []
    schema = _without_required(load_manifest().actions[action].output_schema)
    assert isinstance(schema, dict)
    return [problem.message for problem in find_problems(_without_left_out(envelope["data"]), schema)]


def _without_left_out(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_left_out(part) for name, part in value.items() if name != LEFT_OUT}
    return [_without_left_out(part) for part in value if part != LEFT_OUT] if isinstance(value, list) else value


def _without_required(schema: object) -> object:
    if isinstance(schema, dict):
        return {name: _without_required(part) for name, part in schema.items() if name != "required" or not isinstance(part, list)}
    return [_without_required(part) for part in schema] if isinstance(schema, list) else schema
