"""A Markdown file taken apart by a real parser: its links, the files that it names in code, its headings, its comments.

Owns the reading of Markdown and HTML and the place of each part. Whether a target is there is the business of ``links``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from netclaw_opencode.skill.check.hosts import PLUGIN_FOLDERS, SKILL_FOLDERS

_SHELLS = {"bash", "sh", "shell", "zsh", "fish", "console", "shell-session", "terminal"}
_START = "|".join(re.escape(each) for each in (*SKILL_FOLDERS, *PLUGIN_FOLDERS))
# A path in one of the three folders of a skill, with the ending of a file; what stands before it must not be a path of somebody else's.
_NAMED = re.compile(
    rf"(?<![\w/.~$}})>-])((?:(?:{_START}|\.)/)?(?:references|assets|scripts)/[\w@+./-]*\w\.[A-Za-z]\w{{0,7}})(?![\w/*<{{$-])"
)
_FROM_FOLDER = re.compile(rf"((?:{_START})/[\w@+./-]*\w)(?![\w/*<{{$-])")
# Words by which a writer marks what follows as made up.
_EXAMPLE = re.compile(r"\b(?:examples?|e\.g|such as|for instance|would|imagine|might)\b", re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[.*?(?:\]\]>|\Z)", re.DOTALL)
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Link:
    """A target as it is written, unquoted, with its place."""

    target: str
    line: int
    column: int
    kind: Literal["link", "image", "html"] = "link"


@dataclass(frozen=True, slots=True)
class Mention:
    """A path that a text names without linking to it."""

    path: str
    line: int
    column: int
    where: Literal["code", "command", "prose"] = "code"
    in_example: bool = False


@dataclass(slots=True)
class Markdown:
    """What a file holds."""

    links: list[Link] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    comments: list[tuple[int, str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark")


def parse_markdown(text: str) -> Markdown:
    """Take a Markdown text apart. Lines count from 1 in ``text`` as it is given."""
    page = Markdown()
    lines = text.split("\n")
    heading = False
    slugs: dict[str, int] = {}
    for token in _parser().parse(text):
        first = token.map[0] if token.map else 0
        if token.type == "heading_open":
            heading = True
        elif token.type == "inline":
            if heading:
                _head(page, token, slugs)
            _inline(page, token.children or [], lines, first)
            heading = False
        elif token.type == "html_block":
            _html(page, token.content, lines, first)
        elif token.type == "fence" and (token.info.split() or [""])[0].lower() in _SHELLS:
            for number, line in enumerate(token.content.split("\n"), first + 1):
                page.mentions += [Mention(path, number + 1, _column(lines, number, path), "command") for path in _named(line)]
    return page


def _head(page: Markdown, token: Token, slugs: dict[str, int]) -> None:
    text = "".join(child.content for child in token.children or [] if child.type in ("text", "code_inline", "text_special"))
    page.headings.append(text.strip())
    slug = slug_of(text)
    count = slugs.get(slug, 0)
    slugs[slug] = count + 1
    page.anchors.add(f"{slug}-{count}" if count else slug)


def slug_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = heading.strip().lower()
    kept = "".join(char for char in text if char in "-_ " or char.isalnum() or unicodedata.category(char) in ("Mn", "Mc"))
    return kept.replace(" ", "-")


def _inline(page: Markdown, tokens: Sequence[Token], lines: list[str], first: int) -> None:
    number = first
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            number += 1
        elif token.type in ("link_open", "image"):
            name = "href" if token.type == "link_open" else "src"
            target = unquote(str(token.attrs.get(name, "")), errors="surrogateescape")
            row = _row(lines, number, target)
            page.links.append(Link(target, row + 1, _column(lines, row, target), "link" if name == "href" else "image"))
        elif token.type == "html_inline":
            _html(page, token.content, lines, number)
        elif token.type in ("code_inline", "text"):
            where: Literal["code", "prose"] = "code" if token.type == "code_inline" else "prose"
            for path in _named(token.content):
                row = _row(lines, number, path)
                invented = row < len(lines) and bool(_EXAMPLE.search(lines[row]))
                page.mentions.append(Mention(path, row + 1, _column(lines, row, path), where, invented))


def _named(text: str) -> Iterator[str]:
    if "/" not in text:
        return
    found = {match[1]: None for match in _NAMED.finditer(text)} | {match[1]: None for match in _FROM_FOLDER.finditer(text)}
    yield from found


class _Tags(HTMLParser):
    """Collects the targets and anchors of HTML, with the line within it."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[tuple[str, int]] = []
        self.anchors: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if not value:
                continue
            if (tag, name) in (("a", "href"), ("img", "src")):
                self.targets.append((value, self.getpos()[0] - 1))
            elif name == "id" or (tag, name) == ("a", "name"):
                self.anchors.append(value)


def _html(page: Markdown, content: str, lines: list[str], first: int) -> None:
    for match in _COMMENT.finditer(content):
        page.comments.append((first + content.count("\n", 0, match.start()) + 1, match[1].strip()))
    if "<" not in content.replace("<!--", ""):
        return
    tags = _Tags()
    # Character data hold no link, and Python's parser fails on other marked sections.
    tags.feed(_CDATA.sub(lambda match: "\n" * match[0].count("\n"), content).replace("<![", "   "))
    page.anchors |= set(tags.anchors)
    for value, below in tags.targets:
        row = _row(lines, first + below, value)
        page.links.append(Link(unquote(value, errors="surrogateescape"), row + 1, _column(lines, row, value), "html"))


def _row(lines: list[str], first: int, text: str) -> int:
    """Return the line at or below ``first`` (from 0) that holds the text: a code span or a link may go over several."""
    for number in range(first, min(first + 20, len(lines))):
        if text in lines[number]:
            return number
    return min(first, max(len(lines) - 1, 0))


def _column(lines: list[str], number: int, text: str) -> int:
    return lines[number].find(text) + 1 or 1 if number < len(lines) else 1


__all__ = ["Link", "Markdown", "Mention", "parse_markdown", "slug_of"]
