"""What an agent says, in its Markdown: paragraphs, lists, tables and code, and nothing that could be clicked or fetched.

A link is its text with its target beside it, an image is its description: neither is made by an agent on a page that people trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from xml.etree.ElementTree import Element

from markdown_it import MarkdownIt
from markdown_it.token import Token

from netclaw_opencode.report.colours import language_named, show_code
from netclaw_opencode.report.markup import append, clean, element, shorten

_PARSED_CHARS, _SHOWN_CHARS = 20_000, 60_000
"""A longer text than the first is shown as it stands, and no more of it than the second."""
_SAME = {"p", "ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "em", "strong", "s", "hr", "br"}
_HEADING = "p"
"""The page has an outline of its own; a heading of the agent is no part of it."""


def show_prose(text: str) -> Element:
    """Return a text of the agent's."""
    text = clean(text).strip()
    if len(text) > _PARSED_CHARS:
        return element("div", shorten(text, _SHOWN_CHARS), class_="prose plain")
    made = element("div", class_="prose")
    _render(made, _parser().parse(text))
    return made


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _render(root: Element, tokens: Sequence[Token]) -> None:
    open_ones = [root]
    for token in tokens:
        parent = open_ones[-1]
        if token.type == "inline":
            _render(parent, token.children or [])
        elif token.type == "link_open":
            open_ones.append(element("span", title=str(token.attrs.get("href", "")), class_="link"))
            parent.append(open_ones[-1])
        elif token.type == "link_close":
            link = open_ones.pop()
            if link.get("title", "") not in "".join(link.itertext()):
                append(open_ones[-1], element("span", f" ({link.get('title')})", class_="muted"))
        elif token.hidden:
            continue
        elif token.nesting == 1:
            open_ones.append(_open(token))
            parent.append(_scrolling(open_ones[-1]))
        elif token.nesting == -1:
            open_ones.pop()
        else:
            append(parent, _leaf(token))


def _open(token: Token) -> Element:
    if token.type == "heading_open":
        return element(_HEADING, class_="heading")
    start = token.attrs.get("start") if token.tag == "ol" else None
    return element(token.tag if token.tag in _SAME else "span", start=start)


def _scrolling(made: Element) -> Element:
    return element("div", made, class_="scroll", tabindex="0") if made.tag == "table" else made


def _leaf(token: Token) -> Element | str:
    if token.type in ("fence", "code_block"):
        return show_code(token.content, language_named(token.info.partition(" ")[0]))
    if token.type == "code_inline":
        return element("code", token.content)
    if token.type == "image":
        return f"[image: {token.content} ({token.attrs.get('src', '')})]"
    if token.type == "softbreak":
        return "\n"
    return element(token.tag) if token.tag in _SAME else token.content


__all__ = ["show_prose"]
