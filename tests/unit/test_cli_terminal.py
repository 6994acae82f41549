"""What a person sees cannot drive the terminal, and what a program reads is exact."""

from __future__ import annotations

import json

import pytest

from netclaw_opencode.adapters.cli.terminal import columns_of, escape_controls, fit, json_text, one_line

HOSTILE = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07",  # clear the screen, set the clipboard
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b31m\x9d0;title\x9c",  # the C1 forms of the same
    "safe\u202egpj.exe\u2066x\u2069",
    "a\x00b\x08c\x7fd\re\x0bf\x0cg",
    "tag\U000e0041\U000e007f end\ufeff",
    "line\u2028separator\u2029paragraph\u0085next",
    "lone \ud800 surrogate",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_or_bidi_character_reaches_a_terminal(text: str) -> None:
    """Whatever a model says, only line breaks and tabs remain of the characters that a terminal obeys."""
    shown = escape_controls(text)
    assert all(char in "\n\t" or char.isprintable() for char in shown)
    assert shown.encode("utf-8")


def test_harmful_characters_are_shown_and_not_dropped() -> None:
    """Each harmful character stands there as its escape, so that a reader sees that something was tried."""
    assert escape_controls("\x1b[31m\x9b\u202e\U000e0041") == "\\x1b[31m\\x9b\\u202e\\U000e0041"


def test_ordinary_text_of_any_language_stays_as_it_is() -> None:
    """Line breaks, tabs, accents, CJK, joined emoji and right-to-left letters are not touched; CRLF becomes LF."""
    text = "one\n\ttwo é 漢字 👩\u200d💻 שלום نص"
    assert escape_controls(text) == text
    assert escape_controls("one\r\ntwo") == "one\ntwo"


def test_one_line_has_one_line_and_a_limit() -> None:
    """A text for a table or a progress line cannot break it: no line break, no escape, bounded length."""
    assert one_line("  a\n\n b\tc \x1b[0m ") == "a b c \\x1b[0m"
    assert len(one_line("x" * 1000, 50)) == 50


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_exact_and_harmless_at_once(text: str, indent: int | None) -> None:
    """The printed JSON reads back to the very same value, and holds no character that a terminal obeys."""
    printed = json_text({"text": text, text: ["é", 1, None]}, indent=indent)
    assert json.loads(printed) == {"text": text, text: ["é", 1, None]}
    assert escape_controls(printed) == printed
    assert "é" in printed


def test_text_is_cut_by_columns_not_by_characters() -> None:
    """Wide characters count twice and combining ones not at all, so that the live line never wraps."""
    assert columns_of("漢a\u0301") == 3
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("fits", 4) == "fits"
