"""Handlers of isolated work: list_work, apply_work, discard_work."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions.isolation import APPLY_SECONDS, bench_of, in_thread, notes_of, to_wire
from netclaw_opencode.opencode.trust import Trust
from netclaw_opencode.work import isolating
from netclaw_opencode.work.git import GitError
from netclaw_opencode.work.snapshots import TooLargeError

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.settings import Settings
    from netclaw_opencode.work.isolating import Bench
    from netclaw_opencode.work.ledger import Work

_LIST_SECONDS = 10.0
_MOST_TOLD = 200
_MOST_COMPARED = 20
"""So many works are compared with what is known of them; of more, only that is told."""


async def list_work(_arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Tell every isolated work that there is, newest first."""
    bench = bench_of(context.settings, _LIST_SECONDS)
    return await in_thread(lambda: _listed(bench))


def _listed(bench: Bench) -> dict[str, object]:
    works, broken = bench.ledger.works()
    shown = [_described(bench, work, compare=place < _MOST_COMPARED) for place, work in enumerate(works[:_MOST_TOLD])]
    notes = [f"{name}: its record cannot be read; look at {bench.ledger.folder(name)}" for name in broken]
    return {"works": shown, "total": len(works), "notes": notes}


def _described(bench: Bench, work: Work, *, compare: bool) -> dict[str, object]:
    wire = to_wire(work)
    busy = bench.ledger.is_held(work.id)
    if not busy and work.state in ("preparing", "running"):
        # Whoever began it was killed, or went away.
        wire["state"] = "interrupted"
    wire |= {"busy": busy, "exists": work.path.is_dir()}
    if compare and not busy:
        with suppress(GitError, TooLargeError, OSError):
            why = isolating.unseen(bench, work)
            if why is not None:
                wire["unseen"] = why
    return wire


async def apply_work(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Bring a work's changes into the folder that it was taken from, and remove it."""
    bench = bench_of(context.settings, APPLY_SECONDS)
    work_id, keep = read.required_text(arguments, "work_id"), read.flag(arguments, "keep")
    return await in_thread(lambda: _applied(bench, work_id, context.settings, keep=keep))


def _applied(bench: Bench, work_id: str, settings: Settings, *, keep: bool) -> dict[str, object]:
    work = bench.ledger.read(work_id)
    with bench.ledger.held(work_id):
        work, applied = isolating.apply(bench, work)
        removed = not keep and not applied.left
        if removed:
            isolating.discard(bench, work, force=False)
            Trust.from_settings(settings).revoke(work.tree)
    return {
        "work_id": work.id,
        "source": work.source,
        "files": list(applied.files),
        "merged": list(applied.merged),
        "already": list(applied.already),
        "removed": removed,
        "notes": notes_of(applied),
    }


async def discard_work(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Remove a work with its tree and its branch."""
    bench = bench_of(context.settings, APPLY_SECONDS)
    work_id, force = read.required_text(arguments, "work_id"), read.flag(arguments, "force")
    return await in_thread(lambda: _discard(bench, work_id, context.settings, force=force))


def _discard(bench: Bench, work_id: str, settings: Settings, *, force: bool) -> dict[str, object]:
    work = bench.ledger.read(work_id)
    with bench.ledger.held(work_id):
        isolating.discard(bench, work, force=force)
        Trust.from_settings(settings).revoke(work.tree)
    return {"work_id": work.id, "discarded": True, "path": str(work.path)} | ({"branch": work.branch} if work.branch else {})


__all__ = ["apply_work", "discard_work", "list_work"]
