"""What each form of the skill consists of: names and bytes, made from the bundled files alone.

Owns the forms. No clock, no locale, no order of a file system has a part in them: two exports of one release are equal to
the byte.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.manifest import Manifest, own_manifest
from netclaw_opencode.skill.export.sealing import SKILL, is_sealed, sealed

FEED_SCHEMA = "https://schemas.agentskills.io/discovery/0.2.0/schema.json"
PLUGIN_SCHEMA = "https://agent-plugins.org/schemas/1.0.0/plugin.schema.json"
REFERENCES = ("references/actions.md", "references/errors.md")
PROGRAMS = ("netclaw-opencode", "opencode")
"""What must be on the PATH of a host that asks."""

_TAGS = ("opencode", "coding-agent", "code-generation", "planning", "automation")
_FEED = ".well-known/agent-skills"
_INDEX = "index.json"
_REMARK = re.compile(r"^<!-- [^>]*-->\n\n?", re.MULTILINE)
_OLDEST = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16
_UNIX = 3

Metadata = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Export:
    """A form of the skill: its ``files`` by their path below ``root``, the folder that an export has for itself.

    ``root`` is relative to the folder that the caller names; ``recognise`` says whether files are an earlier export.
    """

    form: str
    root: str
    files: Mapping[str, bytes]
    recognise: Callable[[Mapping[str, bytes]], bool]


def made(form: str, *, url_prefix: str = "") -> Export:
    """One form, by its name in ``FORMS``; ``url_prefix`` is put before the address of a feed's archive."""
    return FORMS[form](url_prefix)


def _directory(metadata: Metadata | None = None) -> dict[str, bytes]:
    return sealed(_skill(metadata or {}))


def _plain(form: str, metadata: Metadata | None = None) -> Export:
    return Export(form, own_manifest().name, MappingProxyType(_directory(metadata)), _is_earlier)


def _plugin() -> Export:
    manifest = own_manifest()
    inside = f"skills/{manifest.name}/"
    files = {f"{inside}{name}": content for name, content in _skill({}).items()}
    about: dict[str, object] = {
        "$schema": PLUGIN_SCHEMA,
        "name": manifest.name,
        "version": manifest.version,
        "description": f"{manifest.description} {manifest.when_to_use}",
        "author": {"name": "The netclaw-opencode authors"},
    }
    if manifest.homepage is not None:
        about["homepage"] = manifest.homepage
    if manifest.license is not None:
        about["license"] = manifest.license
    about["keywords"] = list(_TAGS)
    files["plugin.json"] = _json(about)
    return Export("agent-plugin", manifest.name, MappingProxyType(sealed(files, f"{inside}{SKILL}")), _is_earlier)


def _is_earlier(files: Mapping[str, bytes]) -> bool:
    name = own_manifest().name
    return is_sealed(files) or is_sealed(files, f"skills/{name}/{SKILL}")


def _feed(url_prefix: str) -> Export:
    manifest = own_manifest()
    archive = _archive(_directory())
    name = _archive_name(manifest)
    index = _index(manifest.version, f"{manifest.description} {manifest.when_to_use}", url_prefix + name, archive)
    return Export("feed", _FEED, MappingProxyType({_INDEX: index, name: archive}), _is_earlier_feed)


def _archive_name(manifest: Manifest) -> str:
    return f"{manifest.name}.zip"


def _index(version: object, description: object, url: object, archive: bytes) -> bytes:
    entry = {
        "name": own_manifest().name,
        "type": "archive",
        "description": description,
        "url": url,
        "digest": f"sha256:{hashlib.sha256(archive).hexdigest()}",
        "version": version,
    }
    return _json({"$schema": FEED_SCHEMA, "skills": [entry]})


def _is_earlier_feed(files: Mapping[str, bytes]) -> bool:
    # The index holds the archive's digest: an archive that was changed does not fit it. It is never opened.
    name = _archive_name(own_manifest())
    if set(files) != {_INDEX, name}:
        return False
    try:
        entry = json.loads(files[_INDEX])["skills"][0]
        return _index(entry["version"], entry["description"], entry["url"], files[name]) == files[_INDEX]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return False


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a zip that depends on its files alone; not compressed, since compressors differ."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE
            archive.writestr(entry, files[name])
    return raw.getvalue()


def _skill(more: Metadata) -> dict[str, bytes]:
    """SKILL.md and what it names; ``more`` goes into its metadata."""
    text = find_bundled(SKILL).read_text(encoding="utf-8")
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    # The metadata stand last: whatever a host asks for is added below them.
    lines = [*head.splitlines(), *_yaml(more, "  ")]
    texts = {SKILL: "\n".join(["---", *lines, "---", body])}
    texts |= {name: find_bundled(name).read_text(encoding="utf-8") for name in REFERENCES}
    return {name: _without_remarks(text).encode("utf-8") for name, text in texts.items()}


def _without_remarks(text: str) -> str:
    """Without the marks of our generator: a reader has no use for them, and scanners mistrust what is hidden."""
    return re.sub(r"\n\n(?=\n)", "\n", _REMARK.sub("", text))


def _yaml(value: Metadata, indent: str) -> list[str]:
    """Block style only: the specification's own validator reads no other."""
    lines: list[str] = []
    for key, part in value.items():
        if isinstance(part, Mapping):
            lines += [f"{indent}{key}:", *_yaml(part, f"{indent}  ")]
        elif isinstance(part, Sequence) and not isinstance(part, str):
            lines += [f"{indent}{key}:", *(f"{indent}  - {json.dumps(item)}" for item in part)]
        else:
            lines.append(f"{indent}{key}: {json.dumps(part)}")
    return lines


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


FORMS: Mapping[str, Callable[[str], Export]] = MappingProxyType(
    {
        "directory": lambda _: _plain("directory"),
        "feed": _feed,
        "agent-plugin": lambda _: _plugin(),
        # Tags are what Hermes shows and searches; a condition on its tools would hide the skill if there are none of them.
        "hermes": lambda _: _plain("hermes", {"hermes": {"tags": _TAGS}}),
        # An object, not a string of JSON: OpenClaw reads nothing else, and hides the skill until both programs are there.
        "openclaw": lambda _: _plain("openclaw", {"openclaw": {"requires": {"bins": PROGRAMS}}}),
    }
)

__all__ = ["FEED_SCHEMA", "FORMS", "PLUGIN_SCHEMA", "PROGRAMS", "REFERENCES", "Export", "made"]
