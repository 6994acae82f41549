"""A task under an idempotency key, called again: found as it stands, gone on with by one call at a time, told again when it is over.

Owns that order. What is written down of it is ``work.keyed``'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions import isolation
from netclaw_opencode.errors import DriverError, Refused, error_of
from netclaw_opencode.opencode.process import locks
from netclaw_opencode.work.keyed import Keyed, folder

if TYPE_CHECKING:
    from netclaw_opencode._core.idempotency import Key
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

JOINED = "the same idempotency key: this is the task that was started before"


@asynccontextmanager
async def opened(key: Key | None, context: ActionContext, *, alone: bool, ends: float) -> AsyncIterator[Keyed | None]:
    """A block with what is known of the task under this key; None for a call without one.

    Args:
        key: The key.
        context: The call's context.
        alone: Whether one call at a time works on it, so that nothing is checked, made or applied twice: the next one waits.
        ends: How long it waits, on the context's clock.

    Raises:
        Refused: ``work_busy``: the other call has not ended by then; ``idempotency_conflict``.
    """
    if key is None:
        yield None
        return
    state_dir = context.settings.state_dir
    if not alone:
        yield Keyed(state_dir, key, strict=False)
        return
    began = context.clock()
    async with locks.hold(folder(state_dir), key.digest[:32], within_seconds=max(0.0, ends - began)) as mine:
        if not mine:
            raise Refused(
                "work_busy",
                f"another call with the same idempotency key works on this task, and has not ended within {context.clock() - began:.0f} s; "
                "nothing was started",
                next="call again with the same key: it goes on with the same task",
            )
        yield Keyed(state_dir, key)


async def tell_again(known: Keyed, arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Return what the first call has told, and apply the work if that is wanted and was not done yet.

    Raises:
        DriverError: The one with which the task ended; ``work_conflict`` and the like while applying.
    """
    outcome = known.record.outcome
    assert outcome is not None  # asked only where there is one
    if "error" in outcome:
        raise _error_of(cast("JsonObject", outcome["error"]))
    output = dict(cast("dict[str, object]", outcome["data"]))
    output["notes"] = [JOINED, *(note for note in read.texts(output, "notes") if note != JOINED)]
    work = output.get("work")
    if read.flag(arguments, "apply") and isinstance(work, Mapping) and work["state"] != "applied":
        output = await apply(known, output, context)
    return output


async def apply(known: Keyed, output: dict[str, object], context: ActionContext) -> dict[str, object]:
    """Bring the work of a finished task in, and write down that it was."""
    work = cast("dict[str, object]", output["work"])
    was_applying = known.record.applying
    known.note(applying=True)
    try:
        applied = await isolation.apply_later(str(work["work_id"]), context.settings)
    except DriverError as error:
        # The task itself has succeeded: its result is not lost with that.
        error.details["result"] = dict(output)
        error.details["work"] = work
        raise
    if applied is not None:
        output |= {"work": applied[0], "notes": [*read.texts(output, "notes"), *applied[1]]}
    elif was_applying:
        # A call was killed between the end of its applying and the note of it: only what was applied is removed then.
        output["work"] = {**work, "state": "applied", "removed": True}
    else:
        output["notes"] = [*read.texts(output, "notes"), f"{work['work_id']} is not there any more: it was applied or discarded"]
    known.note(outcome={"data": output})
    return output


def remember(known: Keyed | None, *, output: JsonObject | None = None, error: DriverError | None = None) -> None:
    """Write down how a task ended, so that a later call is told the same."""
    if known is None:
        return
    if output is not None:
        known.note(outcome={"data": output})
    elif error is not None:
        known.note(outcome={"error": error.to_wire()})


def _error_of(wire: JsonObject) -> DriverError:
    details = dict(cast("dict[str, object]", wire.get("details") or {}))
    rule, following = wire.get("rule"), wire.get("next")
    error = error_of(str(wire["code"]), str(wire["message"]), rule=str(rule) if rule else None, details=details)
    error.next = str(following) if following else error.next
    return error


__all__ = ["JOINED", "apply", "opened", "remember", "tell_again"]
