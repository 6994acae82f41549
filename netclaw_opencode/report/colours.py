"""Code in colours: a text as lines of pieces, each with the class of what it is (``k`` a keyword, ``s`` a string …).

Owns which languages are known. They are those that agents write, not all of the library's: what it reads here is hostile, and the
patterns of seldom used languages are seldom tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias
from xml.etree.ElementTree import Element

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

from netclaw_opencode.report.markup import clean, element

Piece: TypeAlias = tuple[str, str]
"""Class (may be empty) and text."""

LINE_CHARS = 1000
"""So much of a line is shown."""
_COLOURED_CHARS = 60_000
"""A longer text stays without colours."""

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
    found: list[list[Piece]] = [[]]
    for kind, value in _lexer(language).get_tokens(text):
        name = _class_of(kind)
        first, *others = value.split("\n")
        found[-1].append((name, first))
        found.extend([(name, other)] for other in others)
    # A lexer may add or drop an empty last line.
    return [*found, *([] for _ in lines)][: len(lines)]


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


__all__ = ["LINE_CHARS", "Piece", "colour_lines", "language_named", "language_of", "show_code", "show_pieces"]
