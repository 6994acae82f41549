"""Follow a batch: look at it again and again, and report each look as an event.

Owns how often, and what an event holds. What is done meanwhile is the handlers'.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import anyio
import anyio.to_thread

from netclaw_opencode.batch import looking
from netclaw_opencode.facts import ProgressEvent

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.batch.database import Database
    from netclaw_opencode.jsontypes import JsonObject

REST = frozenset({"paused", "halted", "cancelled", "done"})
"""States in which nothing changes by itself."""
_LOOK_SECONDS, _LONGEST_SECONDS = 0.5, 5.0
"""How often a look is taken; of a large batch, where it takes longer, less often."""
_SHARE = 0.05
"""Looks take this share of the time at most, up to the longest pause."""
_MOST_ENDED = 500
"""Tasks that ended, told with one look; the rest is told with the next one."""


class Follower:
    """Looks at one batch.

    Args:
        database: Where it is.
        name: Its id or its name.
        context: Whose hooks get the events.
    """

    def __init__(self, database: Database, name: str, context: ActionContext) -> None:
        self._database = database
        self._name = name
        self._context = context
        self._told: int | None = None
        self._pause_seconds = _LOOK_SECONDS

    async def look(self) -> JsonObject:
        """Return how far the batch is, and report it with what has ended since the last look; raises ``ActionFailed``."""
        began = time.monotonic()
        summary, ended = await anyio.to_thread.run_sync(self._look)
        self._pause_seconds = min(_LONGEST_SECONDS, max(_LOOK_SECONDS, (time.monotonic() - began) / _SHARE))
        facts = {"batch": summary, **({"ended": ended} if ended else {})}
        self._context.hooks.on_event(ProgressEvent("status", progress_line(summary), facts=facts))
        return summary

    async def pause(self, ends: float) -> None:
        """Wait for the next look, to the end of the call at most."""
        await anyio.sleep(min(self._pause_seconds, max(0.05, ends - self._context.clock())))

    def _look(self) -> tuple[JsonObject, list[dict[str, object]]]:
        if self._told is None:
            # What had ended before is no news.
            self._told = looking.newest(self._database, looking.id_of(self._database, self._name))
        summary = looking.batch(self._database, self._name)
        ended, self._told = looking.ended_since(self._database, str(summary["batch_id"]), after=self._told, limit=_MOST_ENDED)
        return summary, ended


def progress_line(summary: JsonObject) -> str:
    """One line on how far a batch is."""
    counts = cast("dict[str, int]", summary["counts"])
    parts = [f"{counts['completed']} of {summary['total']} completed", f"{counts['running']} running"]
    parts += [f"{counts[name]} {name}" for name in ("failed", "cancelled") if counts[name]]
    running = cast("list[dict[str, object]]", summary["running"])
    parts += [f"${summary['cost_usd']:.2f}"] if summary["cost_usd"] else []
    parts += [f"{summary['left_seconds']} s left"] if "left_seconds" in summary else []
    parts += [f"{running[-1]['id']}: {running[-1]['doing']}"] if running and "doing" in running[-1] else []
    return ", ".join(parts)


__all__ = ["REST", "Follower", "progress_line"]
