"""The pages in a real headless browser: nothing is fetched, nothing hostile runs, all can be read, filtered, followed and printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from netclaw_opencode.records.trajectory import ModelCall, Prompt, ToolCall
from netclaw_opencode.report.batch_page import BatchRow, render_batch
from netclaw_opencode.report.page import render
from tests.report.hostile import HOSTILE, everything, hostile
from tests.support.browser import Seen, browse, look_at
from tests.support.trajectories import out_of_time

PHONE = 390
ROWS = 10_000
CODES = {3: "turn_timeout", 7: "check_failed"}

# Each text that is seen, with its contrast to what it stands on; colours of the browser's own reckoning.
CONTRAST = """() => {
  const rgb = (text) => { const found = text.match(/[\\d.]+/g).map(Number); return found.length > 3 ? found : [...found, 1]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const ground = (element) => { for (let at = element; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor); if (colour[3] === 1) return colour; } return [255, 255, 255]; };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("title") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const pair = [light(rgb(element.closest("svg") ? style.fill : style.color)), light(ground(element))].sort((a, b) => b - a);
    found.push([(pair[0] + .05) / (pair[1] + .05), element.tagName + "." + element.className, element.textContent.slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all."""
    expect.set_options(timeout=60_000)
    with browse() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages: two tasks, a hostile one, a batch of many rows whose first leads to a page."""
    made = tmp_path_factory.mktemp("pages")
    (made / "items").mkdir()
    (made / "task.html").write_text(render(everything()), encoding="utf-8")
    (made / "late.html").write_text(render(out_of_time()), encoding="utf-8")
    (made / "hostile.html").write_text(render(hostile()), encoding="utf-8")
    (made / "items" / "a b#1.html").write_text(render(everything()), encoding="utf-8")
    (made / "batch.html").write_text(batch(ROWS), encoding="utf-8")
    (made / "some.html").write_text(batch(100), encoding="utf-8")
    return made


def batch(count: int) -> str:
    """A batch in which every tenth task is out of time and every tenth fails its check; the first text is hostile."""
    rows = []
    for at in range(count):
        code = CODES.get(at % 10)
        rows.append(
            BatchRow(
                id=f"task-{at}", state="failed" if code else "completed", code=code, attempts=1, seconds=float((at * 37) % count),
                cost_usd=at / 1000, tokens=at, files_changed=at % 5, verified=None if code is None else False,
                text=HOSTILE if at == 0 else f"Changed the parser, part {at}.", page="items/a b#1.html",
            )
        )  # fmt: skip
    failed = count // 10
    counts = {"completed": count - 2 * failed, "failed": 2 * failed}
    failures = {"turn_timeout": failed, "check_failed": failed}
    return render_batch(
        {"name": "tasks.csv", "state": "done", "total": count, "counts": counts, "failures": failures, "cost_usd": 12.5}, rows
    )


def open_all(page: Page) -> None:
    """Unfold everything."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")


def require_quiet(seen: Seen) -> None:
    """Fail if the page asked for anything, complained, or opened a dialog."""
    assert (seen.asked, seen.said, seen.dialogs) == ([], [], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["task.html", "late.html"])
def test_a_page_stands_alone_and_can_be_read(browser: Browser, folder: Path, name: str, scheme: Literal["light", "dark"]) -> None:
    """No request, no complaint; every text has a contrast of 4.5, unfolded too; the reader's colours are followed."""
    with look_at(browser, folder / name, scheme=scheme) as seen:
        open_all(seen.page)
        found = seen.page.evaluate(CONTRAST)
        assert len(found) > 40 and [each for each in found if each[0] < 4.5] == []
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) > 600) is (scheme == "light")
        for landmark in ("header", "nav", "main", "footer"):
            assert seen.page.locator(f"body > {landmark}").count() == 1
        links = seen.page.evaluate("[...document.querySelectorAll('nav a')].map((a) => !!document.querySelector(a.getAttribute('href')))")
        assert len(links) >= 4 and all(links)
        require_quiet(seen)


def test_the_keyboard_reaches_what_is_folded(browser: Browser, folder: Path) -> None:
    """The first stop leads past the head; a fold is a stop, shows where it is, and opens by Enter."""
    with look_at(browser, folder / "task.html", script=False) as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "To the content"
        fold = seen.page.locator("li.tool > details > summary").first
        fold.focus()
        seen.page.keyboard.press("Enter")
        assert seen.page.get_by_text("cannot access 'missing'").is_visible()
        require_quiet(seen)


@pytest.mark.parametrize("name", ["task.html", "late.html", "hostile.html", "some.html"])
def test_a_phone_shows_it_without_scrolling_aside(browser: Browser, folder: Path, name: str) -> None:
    """The page is as wide as the window, however long a line is; code scrolls by itself."""
    with look_at(browser, folder / name, width=PHONE) as seen:
        open_all(seen.page)
        assert seen.overflow == 0
        if name == "task.html":
            wide = "[...document.querySelectorAll('pre')].some((each) => each.scrollWidth > each.clientWidth)"
            assert seen.page.evaluate(wide) is True


def test_hostile_texts_do_nothing(browser: Browser, folder: Path) -> None:
    """No script of an agent's runs and nothing is fetched, as the page stands; the policy holds even for what gets into it."""
    with look_at(browser, folder / "hostile.html") as seen:
        open_all(seen.page)
        assert seen.page.evaluate("[typeof window.boom, document.scripts.length, document.images.length]") == ["undefined", 0, 0]
        assert seen.page.evaluate("[...document.querySelectorAll('a')].filter((a) => !a.getAttribute('href').startsWith('#')).length") == 0
        assert "window.boom = 1" in seen.page.locator("body").inner_text()
        require_quiet(seen)
        # What escaping would have to miss is stopped by the policy: a script, an image, a style, a request.
        seen.page.evaluate(
            """() => { const script = document.createElement("script"); script.text = "window.boom = 5"; document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", '<p id="late" style="color: red" onclick="window.boom = 6">x</p><img src="http://evil.test/x">');
            document.querySelector("#late").click(); return fetch("http://evil.test/y").catch(() => 0); }"""
        )
        assert seen.page.evaluate("typeof window.boom") == "undefined"
        assert seen.page.evaluate("getComputedStyle(document.querySelector('#late')).color") != "rgb(255, 0, 0)"
        assert len(seen.said) >= 5 and all("Content Security Policy" in each for each in seen.said if "Fetch" not in each)
        assert seen.dialogs == []


def test_the_time_line_has_a_bar_for_each_thing(browser: Browser, folder: Path) -> None:
    """One bar for each model call, tool, prompt and wait, within the picture, with its title, leading to its step."""
    task = everything()
    kinds = {kind: sum(isinstance(step, kind) for step in task.steps) for kind in (ModelCall, ToolCall, Prompt)}
    with look_at(browser, folder / "task.html") as seen:
        bars = {name: seen.page.locator(f"svg.time rect.{name}") for name in ("model", "tool", "prompt", "wait")}
        # The pause for the check before the repair; the other gaps are too short to be seen.
        assert {name: found.count() for name, found in bars.items()} == {
            "model": kinds[ModelCall], "tool": kinds[ToolCall], "prompt": kinds[Prompt], "wait": 1,
        }  # fmt: skip
        assert seen.page.locator("svg.time rect.failed").count() == 1 and seen.page.locator("svg.time text tspan").count() == 3
        title = seen.page.locator("svg.time rect.tool").first.evaluate("(bar) => bar.querySelector('title').textContent")
        assert title == "bash, 0.58 s from 0.30 s on: List the files"
        inside = """() => { const all = document.querySelector("svg.time").getBoundingClientRect();
          return [...document.querySelectorAll("svg.time rect")].every((bar) => { const box = bar.getBoundingClientRect();
            return box.width > 0 && box.left >= all.left - 2 && box.right <= all.right + 2; }); }"""
        assert seen.page.evaluate(inside) is True
        whole = seen.page.evaluate("document.querySelector('svg.time').getBoundingClientRect().width")
        pause = bars["wait"].last.bounding_box()
        assert pause is not None and pause["width"] / whole == pytest.approx(1000 / 5400, abs=0.01)
        seen.page.locator("svg.time a:has(rect.tool)").first.click()
        assert seen.page.url.endswith("#s2") and seen.page.locator("#s2").evaluate("(step) => step.matches(':target')")
        assert seen.page.locator("svg.spending circle").count() == kinds[ModelCall]


def test_print_shows_what_is_folded(browser: Browser, folder: Path) -> None:
    """On paper: dark on white whatever the screen has, every fold open, no bar of links; it becomes a PDF."""
    with look_at(browser, folder / "task.html", scheme="dark") as seen:
        hidden = seen.page.get_by_text("cannot access 'missing'")
        assert not hidden.is_visible()
        seen.page.emulate_media(media="print")
        assert hidden.is_visible() and not seen.page.locator("nav").is_visible()
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert [each for each in seen.page.evaluate(CONTRAST) if each[0] < 4.5] == []
        assert seen.page.pdf(format="A4").startswith(b"%PDF-")
        require_quiet(seen)


def rows_shown(page: Page) -> list[str]:
    """The ids of the rows that the filters leave, in order; the first twenty."""
    found: list[str] = page.evaluate("[...document.querySelectorAll('tbody tr:not([hidden]) a')].slice(0, 20).map((a) => a.textContent)")
    return found


def test_filters_sorting_and_links_of_a_batch(browser: Browser, folder: Path) -> None:
    """Ten thousand rows: by state, code and words, sorted both ways by numbers, by clicks and keys; a row leads to its page and back."""
    # Plain selectors: a look by role goes through all of a page, and this one is large.
    with look_at(browser, folder / "batch.html") as seen:
        page = seen.page
        shown = page.locator("#shown")
        assert shown.inner_text() == "10,000 tasks" and page.locator("tbody tr").count() == ROWS
        page.locator("select[name=state]").select_option("failed")
        expect(shown).to_have_text("2,000 of 10,000 tasks")
        page.locator("select[name=code]").select_option("check_failed")
        expect(shown).to_have_text("1,000 of 10,000 tasks")
        assert rows_shown(page)[:3] == ["task-7", "task-17", "task-27"]
        page.locator("input").fill("PART 9997. parser")
        expect(shown).to_have_text("1 of 10,000 tasks")
        assert rows_shown(page) == ["task-9997"]
        page.locator("input").fill("no such text")
        expect(page.locator("#none")).to_be_visible()
        page.locator("form button").click()
        expect(shown).to_have_text("10,000 tasks")
        page.locator(".codes button", has_text="turn_timeout").click()
        expect(shown).to_have_text("1,000 of 10,000 tasks")
        assert rows_shown(page)[:2] == ["task-3", "task-13"]

        page.locator("form button").click()
        expect(shown).to_have_text("10,000 tasks")
        page.locator("th button", has_text="Time").click()
        by_time = sorted(range(ROWS), key=lambda at: (at * 37) % ROWS)
        assert rows_shown(page) == [f"task-{at}" for at in by_time[:20]]
        page.keyboard.press("Enter")
        assert rows_shown(page) == [f"task-{at}" for at in by_time[:-21:-1]]
        assert page.locator("th[aria-sort]").evaluate_all("(heads) => heads.map((head) => head.textContent + head.ariaSort)") == [
            "Timedescending"
        ]

        assert page.evaluate("[typeof window.boom, document.scripts.length]") == ["undefined", 1]
        require_quiet(seen)
        page.locator("tbody tr:not([hidden]) a").first.click()
        page.wait_for_url("**/items/a%20b%231.html")
        assert page.locator("h1").inner_text() == "Write slugify.py & <test> it."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_batch_can_be_read_without_a_script(browser: Browser, tmp_path: Path, scheme: Literal["light", "dark"]) -> None:
    """All rows are there, what needs the script is not; the contrast holds in both colours."""
    (tmp_path / "batch.html").write_text(batch(20), encoding="utf-8")
    with look_at(browser, tmp_path / "batch.html", script=False) as seen:
        assert seen.page.locator("tbody tr").count() == 20 and not seen.page.locator("form").is_visible()
    with look_at(browser, tmp_path / "batch.html", scheme=scheme) as seen:
        for name in ("State", "Code"):
            assert seen.page.get_by_role("combobox", name=name).is_visible()
        assert seen.page.get_by_role("searchbox", name="Id or text").is_visible()
        assert seen.page.get_by_role("columnheader", name="Tokens").get_by_role("button").is_visible()
        assert seen.page.get_by_role("row").count() == 21 and seen.page.get_by_role("cell").count() == 20 * 8
        found = seen.page.evaluate(CONTRAST)
        assert len(found) > 100 and [each for each in found if each[0] < 4.5] == []
        require_quiet(seen)
