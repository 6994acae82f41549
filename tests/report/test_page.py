"""The page of a task as text: every part may be missing, every text may be hostile, and what is shown is what was done."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, ToolCall, Trajectory
from netclaw_opencode.report.colours import colour_lines, language_named, language_of, limit_colours
from netclaw_opencode.report.diffs import show_diff
from netclaw_opencode.report.markup import clean, element, to_html
from netclaw_opencode.report.page import render
from netclaw_opencode.report.prose import show_prose
from netclaw_opencode.report.wording import duration, first_line, money
from tests.report.hostile import LONG, everything, hostile
from tests.support.trajectories import BEGAN_MS, CHILD, ROOT, out_of_time

NOTHING = Trajectory("run_task", "1", "", "", "", "unknown")


class Reader(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and the text that is seen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep it."""
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("style", "script", "title") or (self._hidden and tag == "meta")

    def handle_endtag(self, tag: str) -> None:
        """Text is seen again."""
        self._hidden = False

    def handle_data(self, data: str) -> None:
        """Keep what is seen."""
        self.text += "" if self._hidden else data


def text_of(page: str) -> str:
    """What a reader sees."""
    return Reader(page).text


def sections_of(page: str) -> list[str]:
    """The headings of the page."""
    return re.findall(r"<h2 id=\"[\w-]+\">([^<]*)</h2>", page)


def test_a_page_shows_all_that_is_known() -> None:
    """Each section is there, in the order in which a reader decides; figures and words are those of the transcript."""
    page = render(everything())
    assert sections_of(page) == [
        "Answer", "Checks", "Change", "Time line", "Cost over time", "Story", "Asked and answered", "Evidence", "Notes",
    ]  # fmt: skip
    seen = text_of(page)
    for words in (
        *("Completed", "Verified by its check", "Work applied", "Write slugify.py & <test> it.", "Now it holds.", "offline-model"),
        *("$0.0083", "11,004", "7,800 in, 192 out", "5.4 s", "6 model calls", "/home/me/project", "1 passed in 0.01s", "exit code 1"),
        *("renamed", "from docs/old.md", "binary", "by a command", "The folder may hold something already.", "cannot access 'missing'"),
        *("refused", "because nobody decided", "allowed once", "by rule 3 of the policy", "deleted, and seen gone", "statement_5f0c.json"),
    ):
        assert words in seen, words


def test_a_failed_task_says_why_and_what_to_do() -> None:
    """Code, words for it, message, next step, whether it was seen stopped; what it had done comes from the error's details."""
    late = out_of_time()
    assert late.error is not None
    done = {"spent": {"cost_usd": 1.5, "tokens": 9000, "model_calls": 4}, "changes": {"method": "snapshot", "files": 2, "additions": 7}}
    details = {**late.error["details"], **done, "files_changed": []}  # type: ignore[dict-item]
    seen = text_of(render(replace(late, error={**late.error, "details": details})))
    for words in (
        *("The turn did not finish before its deadline and was stopped", "turn_timeout", "the deadline of 5 s passed", "Give more time."),
        *("seen stopped.", "deadline", "$1.50", "9,000", "4 model calls", "+7", "did not end", "MessageAbortedError: aborted"),
        *("Last words of the agent", "What is not on this page", "the tool's output was not seen", "No file was changed."),
    ):
        assert words in seen, words
    known = render(replace(late, error={"code": "turn_timeout", "message": "late"}))
    assert "send_message_async with wait_for_session" in text_of(known)  # the table's remedy, where the error has none


@pytest.mark.parametrize("whole", [everything(), out_of_time()], ids=["done", "failed"])
def test_any_part_may_be_missing(whole: Trajectory) -> None:
    """Without any one member of the result or of the error's details, and without all of them, there is a page."""
    facts = whole.result if whole.result is not None else whole.error["details"]  # type: ignore[index]
    assert isinstance(facts, dict)
    for name in facts:
        less = {key: value for key, value in facts.items() if key != name}
        assert "</html>" in render(replace(whole, result=less))
        assert "</html>" in render(replace(whole, result={**facts, name: None}))
        assert "</html>" in render(replace(whole, result=None, error={"code": name, "details": {**facts, name: "no such form"}}))
    lesser = (
        *(replace(whole, steps=()), replace(whole, sessions=()), replace(whole, result=None, error=None)),
        *(replace(whole, model={}), replace(whole, began_at="", ended_at="")),
    )
    assert all("</html>" in render(each) for each in lesser)


def test_a_page_of_nothing() -> None:
    """A transcript without steps, result and error says that nothing is known, and which version wrote it."""
    page = render(NOTHING)
    assert sections_of(page) == ["Evidence"] and "netclaw-opencode 1" in text_of(page) and "How it ended is not known" in page


def test_a_flight_record_is_a_story_of_lines() -> None:
    """The lines of the record are the story, for a task that was done and for one that failed; its steps make the time line alone."""
    lines = ["  0.11 s  created session ses_1", "  0.13 s  sent message <msg_1> once"]
    for trajectory in (
        replace(NOTHING, result={"story": lines}),
        replace(NOTHING, error={"code": "turn_timeout", "details": {"story": lines}}),
    ):
        page = render(trajectory)
        assert sections_of(page) == ["Story", "Evidence"] and all(line in text_of(page) for line in lines)

    timed = Reader(render(replace(out_of_time(), result={"story": lines})))
    assert "Time line" in timed.text and lines[0] in timed.text and "MessageAbortedError" not in timed.text
    assert {str(each["href"]) for tag, each in timed.tags if tag == "a"} <= {
        "#content",
        "#time",
        "#story",
        "#evidence",
        "#left-out",
        "#answer",
    }


def test_hostile_texts_stay_text() -> None:
    """No text becomes an element, an attribute or a link; no control or mark that turns text is left; long lines are cut."""
    page = render(hostile())
    found = Reader(page)
    assert not {tag for tag, _ in found.tags} & {"script", "img", "iframe", "object", "embed", "form", "base", "link", "input"}
    names = {name for _, attributes in found.tags for name in attributes}
    assert names.isdisjoint({"src", "style", "srcset", "xlink:href"}) and not [name for name in names if name.startswith("on")]
    assert {str(attributes["href"])[:1] for _, attributes in found.tags if "href" in attributes} == {"#"}
    assert not re.search("[\x00\x1b\x9b\u202a-\u202e\u200b\ud800-\udfff\U000e0041]", page)
    assert "[U+202E]abc" in text_of(page) and "more characters" in text_of(page)
    assert len(page) < 40 * len(LONG)
    page.encode("utf-8")


def test_clean_shows_what_cannot_be_seen() -> None:
    """Terminal sequences go, line ends are one, everything that hides or turns text is named; ordinary text is as it was."""
    ordinary = "Grüße, 日本, שלום, 👩\u200d💻\n\tindented"
    assert clean(ordinary) == ordinary
    assert clean("a\x1b[1;31mb\x1b[0m\x1b]0;title\x07c\x1b]8;;x\x1b\\d\x1b") == "abcd\u241b"
    assert clean("a\r\nb\rc\x00\x7f\x85") == "a\nb\nc\u2400\u2421[U+0085]"
    assert clean("\u2066x\ufeff\U000e0020") == "[U+2066]x[U+FEFF][U+E0020]"


def test_an_element_escapes_text_and_attributes() -> None:
    """Children that are texts, lists or nothing; attributes by their Python names."""
    made = element("p", "a<b", None, ["&", element("b", "x"), "</p>"], class_='"><i>', data_id=1, hidden=True, open=False)
    assert to_html(made) == '<p class="&quot;&gt;<i&gt;" data-id="1" hidden="">a&lt;b&amp;<b>x</b>&lt;/p&gt;</p>'


def test_sub_agents_stand_below_the_step_that_started_them() -> None:
    """Two side by side, one within another, and one whose parent is unknown: each once."""
    inner, second, stray = "ses_inner", "ses_second", "ses_stray"
    steps = (
        Prompt(ROOT, "p", BEGAN_MS, "begin"),
        ToolCall(ROOT, "m", "c1", "task", BEGAN_MS + 10, BEGAN_MS + 90, "first agent"),
        ToolCall(ROOT, "m", "c2", "task", BEGAN_MS + 11, BEGAN_MS + 80, "second agent"),
        Prompt(CHILD, "a", BEGAN_MS + 12, "in the first"),
        Prompt(second, "b", BEGAN_MS + 13, "in the second"),
        Prompt(inner, "c", BEGAN_MS + 20, "in the inner"),
        ModelCall(ROOT, "z", BEGAN_MS + 95, BEGAN_MS + 99, text="the end", finish="stop"),
        Prompt(stray, "s", BEGAN_MS + 100, "stray"),
    )
    sessions = (
        Session(ROOT),
        *(Session(each, ROOT, "", "general", "sub-agent") for each in (CHILD, second)),
        *(Session(inner, CHILD, "", "", "sub-agent"), Session(stray, "ses_unknown", "", "", "sub-agent")),
    )
    seen = text_of(render(replace(NOTHING, sessions=sessions, steps=steps))).rpartition("Story")[2]
    order = ["begin", "first agent", "in the first", "in the inner", "second agent", "in the second", "the end", "stray"]
    assert [seen.index(words) for words in order] == sorted(seen.index(words) for words in order)
    assert all(seen.count(words) == 1 for words in order)


def test_a_diff_is_read_by_its_counts() -> None:
    """Lines that look like a head stay lines; numbers and signs are right; what is no diff is shown as it is."""
    diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -7,3 +7,3 @@ def f():\n same\n--- old\n+++ new\n last\n\\ No newline at end of file\n"
    found = to_html(show_diff(diff, "", label="x"))
    lines = re.findall(
        r'<span data-at="([^"]*)" class="(\w+)"><i>(.)</i>([^\n]*)\n|<span class="(\w+)" data-at="([^"]*)"><i>(.)</i>([^\n]*)\n', found
    )
    shown = [(each[1] or each[4], each[0] or each[5], each[2] or each[6], each[3] or each[7]) for each in lines]
    assert shown == [
        ("same", "7 7", " ", "same"),
        ("del", "8  ", "-", "-- old"),
        ("add", "  8", "+", "++ new"),
        ("same", "9 9", " ", "last"),
    ]
    assert "def f():" in found and "No newline" in found
    assert "Binary files differ" in to_html(show_diff("Binary files differ", "", label="x"))


def test_code_has_the_colours_of_its_language() -> None:
    """Known by name or ending; a string that spans lines keeps its colour; lines stay as many as they were."""
    assert (language_of("a/b.PY"), language_of("Dockerfile"), language_of("x.unknown"), language_of("")) == ("python", "docker", "", "")
    assert (language_named("TS"), language_named("rust"), language_named("brainfuck")) == ("typescript", "rust", "")
    lines = colour_lines('def f():  # why\n    """a\nb"""\n', "python")
    assert ["".join(text for _, text in line) for line in lines] == ["def f():  # why", '    """a', 'b"""', ""]
    assert ("k", "def") in lines[0] and ("f", "f") in lines[0] and ("c", "# why") in lines[0] and ("s", 'b"""') in lines[2]
    assert colour_lines(f"x = '{LONG}'", "python") == [[("", f"x = '{LONG}'")]]


def test_colours_cost_a_bounded_time() -> None:
    """A text that takes the patterns of its language minutes keeps its lines without colours; a page as a whole has a limit too."""
    hostile_lines = "int x;\n" + "\n" * 50_000
    began = time.thread_time()
    with limit_colours(0.2):
        found = [colour_lines(hostile_lines, "cpp") for _ in range(3)]
        late = colour_lines("int x;", "cpp")
    # Without the limit each of them takes several times as long; there is room for the token at which the time was over.
    assert time.thread_time() - began < 5
    assert all(["".join(text for _, text in line) for line in lines] == hostile_lines.split("\n") for lines in found)
    assert found[0][0] != [("", "int x;")] and late == [[("", "int x;")]]


def test_prose_keeps_its_form_and_loses_its_links() -> None:
    """Paragraphs, lists, tables and code as the agent meant them; a target is text; HTML is text."""
    said = "# Head\n\n1. one `x`\n\n| a | b |\n|---|---|\n| 1 | **2** |\n\n```py\nx = 1\n```\n\n"
    said += "[here](http://a.test/b) <b>no</b> ![pic](c.png)"
    made = to_html(show_prose(said))
    assert '<p class="heading">Head</p>' in made and "<ol><li>one <code>x</code></li></ol>" in made and "<strong>2</strong>" in made
    assert '<span class="n">1</span>' in made and "&lt;b&gt;no&lt;/b&gt;" in made and "[image: pic (c.png)]" in made
    assert "<a" not in made and "here</span>" in made and "(http://a.test/b)" in made


def test_words_for_numbers() -> None:
    """Durations, money and first lines as people write them."""
    assert [duration(each) for each in (0.034, 2.34, 42.4, 185, 7260)] == ["0.03 s", "2.3 s", "42 s", "3 min 05 s", "2 h 01 min"]
    assert [money(each) for each in (0, 0.00001, 0.0031, 12.5)] == ["$0.00", "< $0.0001", "$0.0031", "$12.50"]
    assert first_line("\n  \n  x \ny") == "x" and first_line("a" * 300) == "a" * 199 + "…" and first_line("") == ""
