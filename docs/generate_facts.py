"""Makes ``docs/facts.md``: how a real OpenCode server behaves, as the docstrings of the tests say it.

A test pins a fact if its docstring begins with the fact's number ("F24: …"). Owns the layout, and the text of those facts that were measured by
hand.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAST = 64
"""Facts are numbered from F1 to here."""

# fmt: off
UNPINNED: Mapping[int, str] = {
    6: "A fresh server takes 330 to 640 MB, about 800 MB after some 150 sessions; two cores are busy with about 4 turns at once.",
    8: "`OPENCODE_CONFIG_CONTENT` holds a configuration inline; `OPENCODE_DISABLE_MODELS_FETCH=1` and `OPENCODE_DISABLE_AUTOUPDATE=1` keep it offline.",
    34: "`opencode run` takes 4 s and 600 MB for a prompt, `run --attach` 1.6 to 2 s and 320 MB; the same by HTTP on a warm server 0.2 to 0.45 s.",
    37: "Snapshots of a large working tree can delay the first token; `\"snapshot\": false` turns them off.",
    47: "There is no check of the Host header, and a session can be created by a form: without a password any web page can do so.",
    54: "200 busy sessions: all aborted in 13 s, deleted in 4 s, 1 GiB. Fifty whole lifecycles at once lose half of them; four at a time finish more.",
    55: "`PR_SET_PDEATHSIG` ends the server with its owner, but not the commands of its tools.",
}
# fmt: on

_CODES = re.compile(r"[A-Z]\d+(?:, [A-Z]\d+)*")
"""Numbers of facts, and of rows of the tables of faults, in front of a sentence."""


@dataclass(frozen=True, slots=True)
class Pin:
    """A test and what it says of a fact."""

    path: str
    test: str
    sentence: str
    leads: bool
    """Whether the docstring begins with the fact's number; otherwise it only names it."""


def facts_page() -> str:
    """Return the text of the page."""
    return "\n".join(_lines(_pins())) + "\n"


def _lines(pins: Mapping[int, list[Pin]]) -> Iterator[str]:
    yield from ("# Facts about OpenCode", "")
    yield from ("<!-- Made by docs/generate.py from the docstrings of the tests. Change those, then run it. -->", "")
    yield "How a real OpenCode 1.18 server behaves. Comments in the code name a fact by its number. Most facts are in no documentation of"
    yield "OpenCode, and several contradict it."
    yield from ("", "| Fact | What happens | Test |", "|---|---|---|")
    for number in range(1, LAST + 1):
        label = f'<a id="f{number}"></a>F{number}'
        for pin in pins.get(number, ()):
            yield f"| {label} | **{_phrase(pin.test)}**: {_cell(pin.sentence)} | [{Path(pin.path).name}](../{pin.path}) |"
            label = ""
        if number not in pins:
            yield f"| {label} | {UNPINNED[number]} | measured by hand |"


def _phrase(test: str) -> str:
    """The name of a test as words, without the numbers in front."""
    words = re.sub(r"^test_(?:[a-z]\d+_)*", "", test).replace("_", " ")
    return words[0].upper() + words[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


def _pins() -> dict[int, list[Pin]]:
    """The tests of each fact: those that begin with its number; if there are none, those that name it."""
    found: dict[int, list[Pin]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        # Example packages are data, and the tests of this page would name themselves.
        if {ROOT / "tests" / "packages", ROOT / "tests" / "docs"} & set(path.parents):
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                for number, pin in _pins_of(path.relative_to(ROOT).as_posix(), node.name, text):
                    found[number].append(pin)
    return {number: _chosen(number, pins) for number, pins in found.items()}


def _pins_of(path: str, name: str, text: str) -> Iterator[tuple[int, Pin]]:
    head, colon, rest = text.partition(":")
    leads = bool(colon) and _CODES.fullmatch(head) is not None
    sentence = rest.strip() if leads else text
    leading = {int(number) for number in re.findall(r"F(\d+)", head)} if leads else set()
    for number in sorted({int(number) for number in re.findall(r"\bF(\d+)\b", text)}):
        yield number, Pin(path, name, sentence, number in leading)


def _chosen(number: int, pins: list[Pin]) -> list[Pin]:
    """The tests that are about nothing else, as far as there are such."""
    for chosen in (
        [pin for pin in pins if pin.leads and pin.path.startswith("tests/real/test_facts_")],
        [pin for pin in pins if pin.leads],
    ):
        if chosen:
            return sorted(chosen, key=lambda pin: (f"_f{number}_" not in pin.test, pin.path))
    return pins[:3]


__all__ = ["LAST", "UNPINNED", "facts_page"]
