"""Follow every link of the finished documentation site, without the network: to a file that is there, and to an anchor in it.

Sphinx checks what it knows as a reference; this looks at the HTML that came out. ``python scripts/check_site.py build/site``
"""

from __future__ import annotations

import os
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FEWEST_PAGES = 30
"""Fewer are no site: something was left out."""


class Page(HTMLParser):
    """What a page points to, and what can be pointed to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one element."""
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in ("href", "src") and value and not (tag == "link" and ("rel", "canonical") in attrs):
                self.targets.append(value)


def broken_links(site: Path) -> list[str]:
    """Each link that leads nowhere, with its page."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
            anchor = unquote(parts.fragment)
            if not place.is_file():
                found.append(f"{path.relative_to(site)}: {target} leads to no file")
            elif anchor and place in pages and anchor not in pages[place].anchors:
                found.append(f"{path.relative_to(site)}: {target} leads to no anchor")
    if len(pages) < FEWEST_PAGES:
        found.append(f"{site} has {len(pages)} pages; at least {FEWEST_PAGES} were expected")
    return found


def main(arguments: list[str]) -> int:
    """Print what is broken; exit code 1 if something is."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    problems = broken_links(Path(arguments[0]))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
