"""A real browser for the tests of the pages: the machine's own Chromium or Chrome, driven by playwright.

Owns how it is started and what is noted of a page: what it asked for, what it said on its console, whether it opened a dialog.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from scripts.setup import find_browser

HOW = "no browser: install Chromium or Chrome (Debian: apt-get install chromium-headless-shell), or name one by CHROME_PATH"
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]


@dataclass(slots=True)
class Seen:
    """A page that is open. ``asked`` are all addresses that it asked for but its own; ``said`` what it complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def browse() -> Iterator[Browser]:
    """Start the browser for as long as it is used."""
    program = find_browser()
    assert program is not None, HOW
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def look_at(
    browser: Browser, path: Path, *, width: int = 1280, scheme: Literal["light", "dark"] = "light", script: bool = True
) -> Iterator[Seen]:
    """Open a file in a window of its own."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script)
    # A busy machine may take long; what a page must do at once is not told by a clock.
    context.set_default_timeout(60_000)
    try:
        seen = Seen(context.new_page())
        own = path.as_uri()
        seen.page.on("request", lambda request: None if request.url.partition("#")[0] == own else seen.asked.append(request.url))
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))

        def dismiss(dialog: Dialog) -> None:
            seen.dialogs.append(dialog.message)
            dialog.dismiss()

        seen.page.on("dialog", dismiss)
        seen.page.goto(own)
        yield seen
    finally:
        context.close()


__all__ = ["HOW", "Seen", "browse", "look_at"]
