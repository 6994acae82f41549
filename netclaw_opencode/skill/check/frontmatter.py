"""The frontmatter of ``SKILL.md`` against the rules of each host.

Owns the keys and their values. Where a host documents a key, that is said and never removed.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator

from netclaw_opencode._core.documents import Steps, parse_yaml
from netclaw_opencode.skill.check.findings import Edit, Finding, finding
from netclaw_opencode.skill.check.hosts import CONTRACT, HOSTS, METADATA_KEYS, METADATA_MAPS, SPEC_KEYS, readers_of
from netclaw_opencode.skill.check.page import Page, quote
from netclaw_opencode.skill.check.places import Package

MAX_NAME = 64
MAX_DESCRIPTION = 1_024
MAX_COMPATIBILITY = 500
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

_RESERVED = ("anthropic", "claude")
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>")
_BOTH = ("name", "description")
# Who needs a name, and who a description, of those that object to a missing key at all.
_NEEDED = {"name": ("spec", "hermes", CONTRACT), "description": ("spec", "claude", "hermes", "netclaw", "openclaw", CONTRACT)}


def check_frontmatter(package: Package, page: Page) -> Iterator[Finding]:
    """Everything that is wrong with the keys and values."""
    yield from _keys(page)
    yield from _name(package, page)
    yield from _description(page)
    yield from _plain_texts(page)
    yield from _other_keys(page)
    yield from _metadata(page)
    yield from _flow(page)
    yield from _indent(page)


def _keys(page: Page) -> Iterator[Finding]:
    for key in _BOTH:
        if key not in page.keys:
            yield finding(page.file, "missing_key", f"the frontmatter has no {key}", f"add {key}: below the first ---", hosts=_NEEDED[key])
    for key in page.keys:
        if key not in SPEC_KEYS:
            yield from _unknown(page, key)


def _unknown(page: Page, key: str) -> Iterator[Finding]:
    shown, place = key[:60], page.place(key)
    readers = readers_of(key)
    unknowing = tuple(host.name for host in HOSTS.values() if key not in host.keys)
    if readers:
        verb = "reads" if len(readers) == 1 else "read"
        names = " and ".join([", ".join(readers[:-1]), readers[-1]]) if len(readers) > 1 else readers[0]
        message = f"{names} {verb} {shown!r}; the specification has no such key"
        flags = ",".join(host.name for host in HOSTS.values() if key in host.keys)
        remedy = f"check with --for {flags} if the skill is for these; for every host, leave the key out"
        yield finding(page.file, "unknown_key", message, remedy, at=place, hosts=unknowing)
        return
    near = {host.name: _nearest(key, (*SPEC_KEYS, *host.keys)) for host in HOSTS.values()}
    meant = next(filter(None, near.values()), None)
    if meant is not None:
        yield finding(page.file, "misspelt_key", f"{shown!r} looks like {meant!r}", f"write {meant}:", at=place)
        return
    remedy = f"no host reads it: move it below metadata: as text ({shown})"
    yield finding(page.file, "unknown_key", f"{shown!r} is none of {', '.join(SPEC_KEYS)}", remedy, at=place)


def _nearest(key: str, known: tuple[str, ...]) -> str | None:
    plain = {name.replace("-", "").replace("_", "").lower(): name for name in known}
    same = plain.get(key.replace("-", "").replace("_", "").lower())
    if same is not None:
        return same
    return next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.85)), None)


def _name(package: Package, page: Page) -> Iterator[Finding]:
    if "name" not in page.keys:
        return
    place, folder = page.place("name"), package.folder.resolve().name
    name = unicodedata.normalize("NFKC", page.written("name").strip())
    alone = parse_yaml(page.line(place[0] or 1)).value == {"name": page.keys["name"]}
    edit = Edit("line", place[0] or 1, f"name: {folder}") if alone and NAME.fullmatch(folder) and not package.has_manifest else None
    if not is_name(name):
        message = f"{_shown(page.keys['name'])} is no name for a skill"
        yield finding(page.file, "bad_skill_name", message, _name_remedy(folder if edit else name), at=place, edit=edit)
    elif not NAME.fullmatch(name):
        yield finding(page.file, "bad_skill_name", f"{name!r} has letters beyond a to z", at=place, hosts=("claude", CONTRACT))
    if is_name(name) and not package.has_manifest and unicodedata.normalize("NFKC", folder) != name:
        remedy = f"write name: {folder}" if edit else f"rename the folder to {name}"
        hosts = ("spec",) if folder.lower() == name.lower() else ()  # NetClaw compares without regard to case
        message = f"the name is {name[:80]!r}, but the folder is called {folder[:80]!r}"
        yield finding(page.file, "name_is_not_folder", message, remedy, at=place, hosts=hosts, edit=edit)
    word = next((word for word in _RESERVED if word in name.lower()), None)
    if word is not None:
        yield finding(page.file, "name_reserved", f"the name holds {word!r}", at=place)


def is_name(name: str) -> bool:
    """Return whether a name keeps the specification, which takes small letters of any script."""
    if not 1 <= len(name) <= MAX_NAME or name != name.lower() or "--" in name:
        return False
    return not name.startswith("-") and not name.endswith("-") and all(char.isalnum() or char == "-" for char in name)


def _name_remedy(name: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:MAX_NAME].strip("-")
    return f"write name: {plain}" if plain else None


def _description(page: Page) -> Iterator[Finding]:
    if "description" not in page.keys:
        return
    text, place = page.written("description"), page.place("description")
    if not text.strip():
        yield finding(page.file, "bad_description", "the description is empty or not text", at=place)
        return
    if len(text) > MAX_DESCRIPTION:
        message = f"the description has {len(text)} characters; {MAX_DESCRIPTION} are allowed"
        yield finding(page.file, "bad_description", message, at=place, hosts=("spec", CONTRACT))
        message = f"the description has {len(text)} characters; NetClaw cuts it at {MAX_DESCRIPTION}"
        yield finding(page.file, "bad_description", message, at=place, hosts=("netclaw",), at_most="warning")
    if "\n" in text.strip():
        yield finding(page.file, "bad_description", "the description has several lines", at=place, hosts=(CONTRACT,))
    elif page.text("description") is not None and place[0] is not None:
        alone = parse_yaml(page.line(place[0]))
        if alone.faults or alone.value != {"description": text}:
            yield finding(page.file, "description_not_one_line", "the description goes on in the next line of the file", at=place)
    if _TAG.search(text):
        yield finding(page.file, "description_has_tags", f"the description holds {_shown(_TAG.findall(text)[0])}", at=place)


def _plain_texts(page: Page) -> Iterator[Finding]:
    """Names, descriptions and the like that YAML takes for a number, true, false or nothing."""
    for key in ("name", "description", "license", "compatibility"):
        value = page.keys.get(key, "")
        if isinstance(value, str | dict | list) or not page.written(key):
            continue
        line = page.place(key)[0] or 1
        text = f"{key}: {quote(page.written(key))}"
        message = f"{key} is {_shown(value)} to a YAML reader, not text"
        yield finding(page.file, "value_not_text", message, f"write {text}", at=page.place(key), edit=Edit("line", line, text))


def _other_keys(page: Page) -> Iterator[Finding]:
    keys = page.keys
    if "license" in keys and not page.written("license"):
        yield finding(page.file, "bad_license", f"{_shown(keys['license'])} is not text", at=page.place("license"))
    if "compatibility" in keys and not 1 <= len(page.written("compatibility")) <= MAX_COMPATIBILITY:
        message = f"compatibility must be text of 1 to {MAX_COMPATIBILITY} characters"
        yield finding(page.file, "bad_compatibility", message, at=page.place("compatibility"))
    tools = keys.get("allowed-tools", "x")
    if isinstance(tools, list) and all(isinstance(tool, str) for tool in tools):
        text = " ".join(str(tool) for tool in tools)
        message = "allowed-tools is a list, not one text with spaces between the tools"
        yield finding(page.file, "allowed_tools_list", message, f"write allowed-tools: {text[:200]}", at=page.place("allowed-tools"))
    elif not isinstance(tools, str):
        hosts = ("claude", CONTRACT) if tools is None else ()
        message = f"allowed-tools is {_shown(tools)}, not one text with spaces between the tools"
        yield finding(page.file, "bad_allowed_tools", message, at=page.place("allowed-tools"), hosts=hosts)


def _metadata(page: Page) -> Iterator[Finding]:
    metadata = page.keys.get("metadata", {})
    if metadata is None:
        yield finding(page.file, "bad_metadata", "metadata is empty", at=page.place("metadata"), hosts=(CONTRACT,))
    elif not isinstance(metadata, dict):
        yield finding(page.file, "bad_metadata", "metadata is not a map", at=page.place("metadata"))
    else:
        for key, value in metadata.items():
            if not isinstance(value, str) and not (key in METADATA_MAPS and isinstance(value, dict)):
                message = f"metadata.{key[:60]}: {_shown(value)} is not text"
                yield finding(page.file, "metadata_not_text", message, at=page.place("metadata", key))
            host = METADATA_MAPS.get(key)
            for inner in value if host is not None and isinstance(value, dict) else ():
                known = METADATA_KEYS[host or ""]
                meant = None if inner in known else _nearest(inner, known)
                if meant is not None:
                    message = f"metadata.{key}.{inner[:60]} looks like {meant!r}"
                    place = page.place("metadata", key, inner)
                    yield finding(page.file, "misspelt_key", message, f"write {meant}:", at=place, hosts=(host or "",))


def _values(page: Page) -> Iterator[tuple[Steps, object]]:
    pending: list[tuple[Steps, object]] = [((), page.keys)]
    while pending:
        steps, value = pending.pop()
        yield steps, value
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [((*steps, step), child) for step, child in inside]


def _flow(page: Page) -> Iterator[Finding]:
    """Maps and lists in braces and brackets, which the strict reader of the specification's validator refuses."""
    for steps, value in _values(page):
        line, column = page.front.place_of(steps)
        if not steps or line is None or column is None or not isinstance(value, dict | list):
            continue
        rest = page.line(line)[column - 1 :]
        if isinstance(steps[-1], str):
            rest = rest.partition(":")[2].lstrip() or page.line(line + 1).strip()
        if rest.startswith(("{", "[")):
            remedy = _block(str(steps[-1]), value) if len(steps) == 1 else None
            yield finding(page.file, "frontmatter_flow", f"{steps[-1]} is written in {rest[0]}…", remedy, at=(line, column))


def _block(key: str, value: object) -> str | None:
    """Return the same value written out, where that is short."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return f"write {key}: with one line each below it: " + ", ".join(f"- {item}" for item in value)[:200]
    return None


def _indent(page: Page) -> Iterator[Finding]:
    for steps, value in _values(page):
        if not isinstance(value, dict):
            continue
        starts = [
            page.front.place_of((*steps, key, next(iter(child)))) for key, child in value.items() if isinstance(child, dict) and child
        ]
        for start in starts:
            if start[1] != starts[0][1]:
                message = f"this map is indented to column {start[1]}, the one before it to {starts[0][1]}"
                yield finding(page.file, "frontmatter_indent", message, at=start)
                break


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:60])
    return {bool: "true or false", dict: "a map", list: "a list", type(None): "nothing"}.get(type(value), f"the number {str(value)[:30]}")


__all__ = ["MAX_COMPATIBILITY", "MAX_DESCRIPTION", "MAX_NAME", "NAME", "check_frontmatter", "is_name"]
