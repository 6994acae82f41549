"""``SKILL.md`` against the rules of Agent Skills, and against what readers of it really do.

Owns the reading of the page: frontmatter with places, body, headings, the files that it names. The rules on characters and
phrases are those of every text file (``files``); what must agree with other files stands in ``agreement``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from netclaw_opencode._core.documents import Document, Fault, Steps, parse_yaml, read_text
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.skill.authoring.files import PAGE, Package, is_inside, kind_of
from netclaw_opencode.skill.authoring.findings import Finding, finding, of_faults

KEYS = ("name", "description", "license", "compatibility", "allowed-tools", "metadata")
# Two hosts read a map of their own under metadata, which the specification has no room for.
HOST_KEYS = ("hermes", "openclaw")
SECTIONS = ("When to use", "Procedure", "Pitfalls", "Verification")
MAX_NAME = 64
MAX_DESCRIPTION = 1_024
MAX_COMPATIBILITY = 500
MAX_BODY = 10_000
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_FENCE = re.compile(r"\s{0,3}(```|~~~)")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*#*\s*")
_KEY_LINE = re.compile(r"\s*(name|description|version)\s*:")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]{1,500})")
_NAMED = re.compile(r"(?<![\w/.:-])((?:references|assets|scripts)/[\w./-]*\w)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#")


@dataclass(frozen=True, slots=True)
class Page:
    """A page whose frontmatter is a map; ``front`` keeps the places of its keys, ``body_line`` is the first line of the body."""

    front: Document
    keys: JsonObject
    raw: tuple[str, ...]
    body: tuple[str, ...]
    body_line: int

    def text(self, key: str) -> str | None:
        """A key's text, if it is text."""
        value = self.keys.get(key)
        return value if isinstance(value, str) else None

    @property
    def version(self) -> str | None:
        """``metadata.version``, if it is text."""
        metadata = self.keys.get("metadata")
        value = metadata.get("version") if isinstance(metadata, dict) else None
        return value if isinstance(value, str) else None

    def line(self, number: int) -> str:
        """A line of the frontmatter; nothing where YAML counts more lines than there are line feeds (it knows other breaks)."""
        return self.raw[number - 1] if number <= len(self.raw) else ""

    def place(self, *steps: str) -> tuple[int | None, int | None]:
        """Line and column of a key."""
        return self.front.place_of(steps)


def read_page(package: Package) -> tuple[Page | None, list[Finding]]:
    """The page, or what keeps it from being one."""
    text = read_text(package.folder / PAGE)
    if isinstance(text, Fault):
        return None, of_faults(PAGE, [text])
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if lines[0].rstrip() != "---" or end is None:
        return None, [finding(PAGE, "frontmatter_missing", "it does not begin with frontmatter between two lines of ---")]
    # The empty line stands for the first ---, so that lines count as in the file.
    front = parse_yaml("\n".join(["", *lines[1:end]]))
    found = of_faults(PAGE, front.faults)
    if not front.whole or not isinstance(front.value, dict):
        return None, found or [finding(PAGE, "frontmatter_missing", "its frontmatter is not a map", line=2)]
    return Page(front, front.value, tuple(lines[:end]), tuple(lines[end + 1 :]), end + 2), found


def page_findings(package: Package, page: Page) -> Iterator[Finding]:
    """What is wrong with the page itself."""
    yield from _keys(page)
    yield from _name(package, page)
    yield from _description(page)
    yield from _other_keys(page)
    yield from _flow(page)
    yield from _lines(page)
    yield from _body(page)
    yield from _files(package, page)


def _keys(page: Page) -> Iterator[Finding]:
    for key in ("name", "description"):
        if key not in page.keys:
            yield finding(PAGE, "missing_key", f"the frontmatter has no {key}", f"add {key}:")
    for key in page.keys:
        if key not in KEYS:
            what = f"{key[:60]!r} is none of {', '.join(KEYS)}"
            yield finding(PAGE, "unknown_key", what, f"put it under metadata: as text ({key[:60]}), or remove it", at=page.place(key))


def _name(package: Package, page: Page) -> Iterator[Finding]:
    if "name" not in page.keys:
        return
    name = page.text("name")
    if name is None or not NAME.fullmatch(name) or len(name) > MAX_NAME:
        yield finding(PAGE, "bad_skill_name", f"{_shown(page.keys['name'])} is no name for a skill", at=page.place("name"))
    elif not package.is_project and package.folder.resolve().name != name:
        what = f"the name is {name!r}, but the folder is called {package.folder.resolve().name!r}"
        yield finding(PAGE, "name_is_not_folder", what, at=page.place("name"))


def _description(page: Page) -> Iterator[Finding]:
    if "description" not in page.keys:
        return
    text, place = page.text("description"), page.place("description")
    if text is None or not text.strip():
        yield finding(PAGE, "bad_description", "the description is empty or not text", at=place)
    elif len(text) > MAX_DESCRIPTION:
        yield finding(PAGE, "bad_description", f"the description has {len(text)} characters; {MAX_DESCRIPTION} are allowed", at=place)
    elif "\n" in text.strip():
        yield finding(PAGE, "bad_description", "the description has several lines", at=place)
    elif place[0] is not None:
        alone = parse_yaml(page.line(place[0]))
        if alone.faults or alone.value != {"description": text}:
            yield finding(PAGE, "description_not_one_line", "the description goes on in the next line of the file", at=place)


def _other_keys(page: Page) -> Iterator[Finding]:
    keys = page.keys
    if "license" in keys and not page.text("license"):
        yield finding(PAGE, "bad_license", f"{_shown(keys['license'])} is not text", at=page.place("license"))
    if "compatibility" in keys and not 1 <= len(page.text("compatibility") or "") <= MAX_COMPATIBILITY:
        what = f"compatibility must be text of 1 to {MAX_COMPATIBILITY} characters"
        yield finding(PAGE, "bad_compatibility", what, at=page.place("compatibility"))
    if "allowed-tools" in keys and not page.text("allowed-tools"):
        what = f"allowed-tools is {_shown(keys['allowed-tools'])}, not one text with spaces between the tools"
        yield finding(PAGE, "bad_allowed_tools", what, at=page.place("allowed-tools"))
    metadata = keys.get("metadata", {})
    if not isinstance(metadata, dict):
        yield finding(PAGE, "bad_metadata", "metadata is not a map", at=page.place("metadata"))
    else:
        for key, value in metadata.items():
            if not isinstance(value, str) and not (key in HOST_KEYS and isinstance(value, dict)):
                yield finding(PAGE, "bad_metadata", f"metadata.{key[:60]}: {_shown(value)} is not text", at=page.place("metadata", key))


def _flow(page: Page) -> Iterator[Finding]:
    """Maps and lists in braces and brackets, which the strict reader of the reference validator refuses."""
    pending: list[tuple[Steps, object]] = [((), page.keys)]
    while pending:
        steps, value = pending.pop()
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [((*steps, step), child) for step, child in inside]
        line, column = page.front.place_of(steps)
        if not steps or line is None or column is None or not isinstance(value, dict | list):
            continue
        rest = page.line(line)[column - 1 :]
        if isinstance(steps[-1], str):
            rest = rest.partition(":")[2].lstrip()
        if rest.startswith(("{", "[")):
            yield finding(PAGE, "frontmatter_flow", f"{steps[-1]} is written in {rest[0]}…", at=(line, column))


def _lines(page: Page) -> Iterator[Finding]:
    own = {page.front.line_of((key,)) for key in page.keys}
    for number, line in enumerate((*page.raw, "---", *page.body), 1):
        match = _KEY_LINE.match(line)
        if match and number not in own:
            what = f"a publisher that reads line by line takes this for the skill's {match[1]}"
            yield finding(PAGE, "nested_key_line", what, line=number, column=match.start(1) + 1)


def _body(page: Page) -> Iterator[Finding]:
    length = len("\n".join(page.body).strip())
    if length >= MAX_BODY:
        what = f"the body has {length} characters; hosts cut it at {MAX_BODY}"
        yield finding(PAGE, "body_too_long", what, line=page.body_line)
    headings = {match[1].strip().lower() for line, match in _headings(page) if line}
    for section in SECTIONS:
        if section.lower() not in headings:
            yield finding(PAGE, "section_missing", f"there is no section {section!r}", f"add ## {section}", line=page.body_line)


def _headings(page: Page) -> Iterator[tuple[int, re.Match[str]]]:
    fenced = False
    for number, line in enumerate(page.body, page.body_line):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and len(line) < 500 and (match := _HEADING.fullmatch(line)):
            yield number, match


def _files(package: Package, page: Page) -> Iterator[Finding]:
    """Every file that the page links to or names in one of the folders for supporting files."""
    told: set[str] = set()
    fenced = False
    for number, line in enumerate(page.body, page.body_line):
        if _FENCE.match(line):
            fenced = not fenced
        links = [] if fenced else [(match[1], match.start(1)) for match in _LINK.finditer(line)]
        named = [(match[1], match.start(1)) for match in _NAMED.finditer(line)]
        for target, start in [*links, *named]:
            relative = unquote(target.partition("#")[0].partition("?")[0])
            if not relative or _SCHEME.match(target) or relative in told:
                continue
            told.add(relative)
            yield from _target(package, relative, number, start + 1)


def _target(package: Package, relative: str, line: int, column: int) -> Iterator[Finding]:
    shown = relative[:100]
    if relative.startswith("/") or not is_inside(package, package.folder / relative):
        yield finding(PAGE, "path_outside", f"{shown!r} leads out of the skill", line=line, column=column)
    elif kind_of(package.folder / relative) == "missing":
        yield finding(PAGE, "file_missing", f"{shown!r} is not there", line=line, column=column)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:60])
    return {bool: "true or false", dict: "a map", list: "a list", type(None): "nothing"}.get(type(value), f"the number {str(value)[:30]}")


__all__ = [
    "HOST_KEYS",
    "KEYS",
    "MAX_BODY",
    "MAX_COMPATIBILITY",
    "MAX_DESCRIPTION",
    "MAX_NAME",
    "NAME",
    "SECTIONS",
    "Page",
    "page_findings",
    "read_page",
]
