"""HTML as a tree: every text that comes into a page passes through here, and none can become markup.

Owns the making of elements and of the whole document with its content security policy. Elements are those of the standard
library, whose writer escapes; what it does not (controls that change how a text is shown) is made visible by ``clean``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | Iterable[Child] | None"

# Colours, cursor movements, titles and links of a terminal: they mean nothing on a page.
_TERMINAL = re.compile(r"\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|\x1b[@-Z\\^_]")
# Controls, marks that turn or hide text (bidi, zero width, tags), halves of surrogate pairs, non-characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Return the text without terminal sequences, with everything visible that would change how it is read."""
    if text.isascii() and text.isprintable():
        return text
    text = _TERMINAL.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return _UNSEEN.sub(_show, text)


def _show(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"


def shorten(text: str, longest: int) -> str:
    """Return the beginning of a text, and how much was left out."""
    return text if len(text) <= longest else f"{text[:longest]} … {len(text) - longest:,} more characters"


def element(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Element:
    """Return an element. ``class_`` is the attribute class, ``data_id`` is data-id; True is a bare attribute, None and False are none."""
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else clean(str(value)))
    for child in children:
        append(made, child)
    return made


def append(parent: Element, child: Child) -> None:
    """Put a child, or several, at the end of an element."""
    if child is None:
        return
    if isinstance(child, str):
        _append_text(parent, clean(child))
    elif isinstance(child, Element):
        parent.append(child)
    else:
        for each in child:
            append(parent, each)


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def to_html(made: Element) -> str:
    """Return an element as text."""
    return tostring(made, encoding="unicode", method="html")


GENERATOR = '<meta name="generator" content="netclaw-opencode">'
"""By this a page is known again as one of ours."""


def write_document(title: str, body: Iterable[Element], *, styles: tuple[str, ...], script: str | None = None) -> Iterator[str]:
    """Return a whole page in pieces.

    Args:
        title: The title of the window.
        body: What stands in it, in order.
        styles: Names of the style sheets of this package that go into it.
        script: Name of the script of this package that goes into it. Without one no script can run.
    """
    style, code = "\n".join(map(_resource, styles)), _resource(script) if script else ""
    policy = f"default-src 'none'; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"
    if code:
        policy += f"; script-src {_digest(code)}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    # Before anything of somebody else's.
    yield to_html(element("meta", http_equiv="Content-Security-Policy", content=policy)) + "\n"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
    yield f"{GENERATOR}\n"
    yield '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
    yield to_html(element("title", title)) + f"\n<style>{style}</style>\n</head>\n<body>\n"
    for part in body:
        yield to_html(part) + "\n"
    yield (f"<script>{code}</script>\n" if code else "") + "</body>\n</html>\n"


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


__all__ = ["GENERATOR", "Child", "append", "clean", "element", "shorten", "to_html", "write_document"]
