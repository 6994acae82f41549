"""Code in colours: a text as lines of pieces, each with the class of what it is (``k`` a keyword, ``s`` a string …).

Owns which languages are known, and what colours may cost. The languages are those that agents write, not all of the library's: what it
reads here is hostile, and in many languages a text can be made that takes its patterns minutes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias
from xml.etree.ElementTree import Element

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

from netclaw_opencode.report.markup import clean, element


@dataclass(slots=True)
class _Budget:
    """Processor time that may still be spent on colours."""

    seconds: float


_BUDGET: ContextVar[_Budget] = ContextVar("netclaw_opencode_colours")

Piece: TypeAlias = tuple[str, str]
"""Class (may be empty) and text."""

LINE_CHARS = 1000
"""So much of a line is shown."""
_COLOURED_CHARS = 60_000
"""A longer text stays without colours."""
_TEXT_SECONDS = 0.5
"""Processor time for one text; what is left then stays without colours."""

_LANGUAGES = """
python py pyi pyw | javascript js mjs cjs | typescript ts mts cts | tsx jsx | c h | cpp cc cxx hpp hh | csharp cs | rust rs | go | java
kotlin kt | swift | ruby rb | php | scala | bash sh zsh | powershell ps1 | lua | perl pl | r | haskell hs | elixir ex exs | erlang erl
clojure clj | dart | zig | nix | julia jl | sql | graphql | protobuf proto | html htm vue svelte | xml svg | css | scss | json jsonl ipynb
yaml yml | toml | ini cfg conf properties | terraform tf hcl | docker dockerfile | make makefile mk | cmake | diff patch | rst | tex
markdown md
"""
"""The name of a language, then the endings of its files besides that name."""
_BY_ENDING = {ending: words[0] for words in map(str.split, re.split(r"[|\n]", _LANGUAGES)) for ending in words}

_CLASSES = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "n"),
    (Token.Keyword.Type, "t"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
    (Token.Name.Function, "f"),
    (Token.Name.Class, "f"),
    (Token.Name.Decorator, "f"),
    (Token.Name.Tag, "k"),
    (Token.Name.Attribute, "t"),
    (Token.Name.Builtin, "t"),
    (Token.Name.Exception, "t"),
    (Token.Generic.Heading, "f"),
    (Token.Generic.Subheading, "f"),
)


def language_of(path: str) -> str:
    """Return the language of a file by its name; empty if it has none that is known."""
    name = PurePosixPath(path.replace("\\", "/")).name.lower()
    return _BY_ENDING.get(name.rpartition(".")[2], "")


def language_named(name: str) -> str:
    """Return the language that a text calls by a name or an ending; empty if it is none that is known."""
    return _BY_ENDING.get(name.strip().lower(), "")


def colour_lines(text: str, language: str) -> list[list[Piece]]:
    """Return the lines of a text in pieces; without a known language, and beyond the bounds, a line is one piece."""
    text = clean(text)
    lines = text.split("\n")
    if not language or len(text) > _COLOURED_CHARS or max(map(len, lines)) > LINE_CHARS:
        return [[("", line)] for line in lines]
    budget = _BUDGET.get(None) or _Budget(_TEXT_SECONDS)
    began = time.thread_time()
    until = began + min(_TEXT_SECONDS, budget.seconds)
    found: list[list[Piece]] = [[]]
    for kind, value in _lexer(language).get_tokens(text):
        if time.thread_time() > until:
            # The line in which the time was over is plain as well.
            found.pop()
            break
        name = _class_of(kind)
        first, *others = value.split("\n")
        found[-1].append((name, first))
        found.extend([(name, other)] for other in others)
    budget.seconds -= time.thread_time() - began
    # A lexer may add or drop an empty last line.
    return [*found, *([("", line)] for line in lines[len(found) :])][: len(lines)]


@contextmanager
def limit_colours(seconds: float = 3.0) -> Iterator[None]:
    """Hold all that is coloured inside to so much processor time."""
    token = _BUDGET.set(_Budget(seconds))
    try:
        yield
    finally:
        _BUDGET.reset(token)


def show_pieces(pieces: Sequence[Piece]) -> Iterator[Element | str]:
    """Return a line as it stands in a page, cut if it is too long to be read."""
    left = LINE_CHARS
    for name, text in pieces:
        if len(text) > left:
            yield text[:left]
            yield element("span", f" … {sum(len(each) for _, each in pieces) - LINE_CHARS:,} more characters", class_="cut")
            return
        left -= len(text)
        yield element("span", text, class_=name) if name else text


def show_code(text: str, language: str = "", *, lines: int = 2000) -> Element:
    """Return a block of code or output that scrolls by itself; of more than ``lines`` lines, the beginning."""
    found = colour_lines(text.removesuffix("\n"), language)
    shown: list[Element | str] = []
    for line in found[:lines]:
        shown += [*show_pieces(line), "\n"]
    if len(found) > lines:
        shown.append(element("span", f"… {len(found) - lines:,} more lines", class_="cut"))
    return element("pre", element("code", _joined(shown)), tabindex="0")


def _joined(parts: Iterable[Element | str]) -> Iterator[Element | str]:
    # Thousands of lines without colours become one text.
    run: list[str] = []
    for part in parts:
        if isinstance(part, str):
            run.append(part)
            continue
        yield "".join(run)
        run.clear()
        yield part
    yield "".join(run)


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


@lru_cache(maxsize=512)
def _class_of(kind: _TokenType) -> str:
    return next((name for base, name in _CLASSES if kind[: len(base)] == base), "")


__all__ = ["LINE_CHARS", "Piece", "colour_lines", "language_named", "language_of", "limit_colours", "show_code", "show_pieces"]
