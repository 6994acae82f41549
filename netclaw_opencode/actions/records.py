"""Handler of the flight record: explain. It needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.records import story

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

_MOST_CALLS = 50


async def explain(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return the calls of a flight record, each in plain words; the newest ones if there are many."""
    path = Path(read.required_text(arguments, "record"))
    if not path.is_absolute():
        raise InvalidInput("invalid_input", f"record {str(path)[:200]!r} must be absolute; it would become {str(path.resolve())!r}")
    session_id = read.optional_id(arguments, "session_id")
    call = read.text(arguments, "call")
    # A full record is read for a second or two; other calls go on meanwhile.
    found = await anyio.to_thread.run_sync(story.read, path)
    chosen = [item for item in found.stories if (session_id is None or session_id in item.sessions) and (call is None or call == item.call)]
    shown = chosen[-_MOST_CALLS:]
    return {
        "calls": [item.to_wire() for item in shown],
        "count": len(shown),
        "truncated": len(chosen) > len(shown),
        "notes": found.notes,
    }
