"""``netclaw-opencode skill export``: the skill in the form that a host takes, written into a folder.

Owns the flags' way into the export and its envelope. The forms and the writing stand in ``netclaw_opencode.skill.export``.
"""

from __future__ import annotations

from pathlib import Path

from netclaw_opencode.adapters.cli import output
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.skill.export import made, write

ACTION = "skill_export"


def export(*, to: str, form: str, url_prefix: str | None) -> int:
    """Write one form of the skill and print what was written; returns the exit code."""
    try:
        if url_prefix is not None and form != "feed":
            raise InvalidInput("invalid_input", "--url-prefix is for --format feed alone")
        if not to.strip():
            raise InvalidInput("invalid_input", "--to is empty: name a folder")
        made_now = made(form, url_prefix=_prefix(url_prefix))
        root, replaced = write(made_now, _folder(to))
    except DriverError as error:
        return output.show_error(ACTION, error, None)
    written = {"format": form, "path": str(root), "files": sorted(made_now.files), "replaced": replaced}
    return output.show({"ok": True, "action": ACTION, "data": written}, None)


def _folder(to: str) -> Path:
    try:
        return Path(to).expanduser().absolute()
    except (FileNotFoundError, RuntimeError) as error:
        raise InvalidInput("invalid_input", f"--to {to!r} cannot be found from here; name it by its whole path") from error


def _prefix(given: str | None) -> str:
    return "" if not given else given if given.endswith("/") else f"{given}/"


__all__ = ["export"]
