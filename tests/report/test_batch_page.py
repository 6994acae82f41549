"""The page of a batch as text: hostile names and texts stay text, a link never leaves the folder, what is not known stays empty."""

from __future__ import annotations

import html
import re

from netclaw_opencode.report.batch_page import BatchRow, render_batch

HOSTILE = '"><script>boom()</script>\u202e\x1b[31mred\x00'


def test_hostile_texts_stay_text() -> None:
    """No name, state, code or text becomes markup; what would turn or hide text is shown."""
    row = BatchRow(id=HOSTILE, state=HOSTILE, code=HOSTILE, text=HOSTILE, page=HOSTILE)
    page = render_batch({"name": HOSTILE, "state": HOSTILE, "counts": {HOSTILE: 1}, "failures": {HOSTILE: 1}, "batch_id": HOSTILE}, [row])
    assert page.count("<script>") == page.count("</script>") == 1  # the page's own
    assert "boom()</script>" not in page and "\x1b" not in page and "\u202e" not in page and "\x00" not in page
    assert "[U+202E]red\u2400" in html.unescape(page)


def test_a_link_stays_below_the_page() -> None:
    """Whatever a file is called: no scheme, no host, no query, no fragment."""
    names = ["items/a b.html", "javascript:boom()", "//evil.test/x", "https://evil.test", "a?b#c", "\udc80.html"]
    page = render_batch({}, [BatchRow(id=str(at), state="completed", page=name) for at, name in enumerate(names)])
    assert re.findall(r'<a href="(\./[^"]*)"', page) == [
        "./items/a%20b.html",
        "./javascript%3Aboom%28%29",
        ".///evil.test/x",
        "./https%3A//evil.test",
        "./a%3Fb%23c",
        "./%3F.html",
    ]


def test_a_row_is_made_from_a_result() -> None:
    """The forms of get_batch_results: a completed task, one that failed with what it had spent, and one that never began."""
    usage = {"total": 120, "cost_usd": 0.25, "input": 100}
    done = {"id": "a", "state": "completed", "attempts": 2, "tries": 1, "elapsed_seconds": 1.5}
    done |= {"data": {"text": "Done.\nMore.", "usage": usage, "files_changed": [{"path": "x"}], "verified": True}}
    failed = {"id": "b", "state": "failed", "attempts": 1, "tries": 3, "elapsed_seconds": 0}
    failed |= {"error": {"code": "check_failed", "message": "The check failed.", "details": {"spent": usage, "files_changed": []}}}
    assert BatchRow.from_item(done, page="p.html") == BatchRow(
        id="a", state="completed", attempts=2, seconds=1.5, cost_usd=0.25, tokens=120, files_changed=1, verified=True, text="Done.\nMore.",
        page="p.html",
    )  # fmt: skip
    assert BatchRow.from_item(failed) == BatchRow(
        id="b", state="failed", code="check_failed", attempts=1, seconds=0, cost_usd=0.25, tokens=120, files_changed=0, verified=False,
        text="The check failed.",
    )  # fmt: skip
    bare = BatchRow.from_item({"id": "c", "state": "cancelled"})
    assert (bare.cost_usd, bare.tokens, bare.files_changed, bare.verified, bare.text) == (None, None, None, None, "")
    page = render_batch({}, [bare])
    assert page.count('data-n="-1"') == 4 and "More." not in render_batch({}, [BatchRow.from_item(done)])


def test_an_empty_batch_has_a_page() -> None:
    """No task, no count, no failure: nothing is divided by zero, nothing is missing."""
    page = render_batch({}, [])
    assert "Failures by code" not in page and "<tbody>\n</tbody>" in page
