"""The transcript of a call that runs a task: read session by session, written at the end, however it ends.

Owns the two moments, and that neither of them can harm the task: each has an end, and a failure becomes a note.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import anyio
import anyio.to_thread

from netclaw_opencode import __version__
from netclaw_opencode._core import time_budget
from netclaw_opencode.driver.results import GATHER_SECONDS
from netclaw_opencode.driver.transcript import Transcript
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.records.trajectory import ModelCall, Trajectory, write_trajectory

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session
    from netclaw_opencode.settings import Settings

_AFTER_FAILURE_SECONDS = 2.0
_AFTER_CANCEL_SECONDS = 1.0
_WRITE_SECONDS = 3.0
_SEND_SECONDS = 3.0
_SHARE = 0.3
"""Of the time that a failed call has left: its session is still to be removed."""
_SHOWN_IN_STEPS = frozenset({"text", "messages", "tools"})
_RESULT_CHARS = 2 * 1024 * 1024
_LIMITS = (256 * 1024, 16 * 1024, 1024, 64)
"""The longest text in a result or an error that is kept, each harsher than the one before until all of it fits."""


@dataclass(slots=True)
class Recording:
    """What is known of a call so far; ``is_on`` says whether anything is wanted."""

    action: str
    is_on: bool
    began_at: str
    transcript: Transcript = field(default_factory=Transcript)
    path: str | None = None

    async def read(
        self,
        connection: Connection,
        session: Session,
        *,
        part: str,
        parent_id: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Read a session that is about to be removed; what cannot be read, or not in time, is left out.

        Args:
            connection: The server.
            session: The session.
            part: What it was for.
            parent_id: The session that it is a fork of.
            error: How its turn failed, if it did.
        """
        transcript = self.transcript
        if not self.is_on or any(item.session_id == session.id for item in transcript.sessions):
            return
        if _is_silent(error):
            transcript.add_unread(session, part=part, parent_id=parent_id, why="the server does not answer")
            return
        why = "not in time"
        with anyio.move_on_after(_limit_seconds(error)):
            try:
                await transcript.read(connection, session, part=part, parent_id=parent_id, has_failed=error is not None)
                return
            except DriverError as problem:
                why = problem.message
        transcript.unread.append(f"session {session.id} could not be read to its end: {why}")

    def end(self, *, outcome: str, output: JsonObject | None, error: JsonObject | None) -> Trajectory:
        """Return the whole document."""
        transcript = self.transcript
        steps = transcript.steps
        models = [step.model for step in steps if isinstance(step, ModelCall) and step.model]
        return Trajectory(
            action=self.action,
            version=__version__,
            began_at=self.began_at,
            ended_at=now(),
            directory=transcript.directory,
            outcome=outcome,
            model=models[-1] if models else {},
            opencode=transcript.version,
            sessions=tuple(transcript.sessions),
            steps=steps,
            left_out=transcript.left_out,
            result=_fit(_without_texts(output)) if output is not None else None,
            error=_fit(error) if error is not None else None,
        )


@asynccontextmanager
async def recording(action: str, context: ActionContext) -> AsyncIterator[Recording]:
    """A call whose transcript is kept; an error gets it as ``details.trajectory``, a result by ``finish``."""
    settings = context.settings
    found = Recording(action, settings.trajectory or settings.otel, now())
    try:
        yield found
    except BaseException as error:
        if found.transcript.sessions:
            with anyio.CancelScope(shield=True):
                problems = await _write(found, context, outcome=_outcome_of(error), error=error)
            if not isinstance(error, Exception) and found.path is not None:
                # Who cancels gets no result and no error: whoever words one for them hears of it here.
                context.driver.emit(
                    ProgressEvent("transcript_written", f"the transcript is {found.path}", facts={"trajectory": found.path})
                )
            if isinstance(error, DriverError):
                error.details |= {"trajectory": found.path} if found.path is not None else {}
                if problems:
                    notes = error.details.get("notes")
                    error.details["notes"] = [*(notes if isinstance(notes, list) else []), *problems]
        raise


async def finish(found: Recording, context: ActionContext, output: dict[str, object]) -> dict[str, object]:
    """Write the transcript of a call that succeeded, and return its output with ``trajectory``."""
    if found.transcript.sessions:
        problems = await _write(found, context, outcome=str(output.get("state", "completed")), output=output)
        if found.path is not None:
            output["trajectory"] = found.path
        if problems:
            notes = output.get("notes")
            output["notes"] = [*(notes if isinstance(notes, list) else []), *problems]
    return output


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, DriverError):
        return error.code
    return "internal_error" if isinstance(error, Exception) else "cancelled"


async def _write(
    found: Recording, context: ActionContext, *, outcome: str, output: JsonObject | None = None, error: BaseException | None = None
) -> list[str]:
    """Write the document and send its spans, as the settings say; return what went wrong."""
    document = found.end(outcome=outcome, output=output, error=error.to_wire() if isinstance(error, DriverError) else None)
    settings, secrets = context.settings, context.secrets
    problems = []
    if settings.trajectory:
        why: str | None = "not in time"
        with anyio.move_on_after(time_budget.remaining_up_to(_WRITE_SECONDS)):
            found.path, why = await anyio.to_thread.run_sync(_write_document, document, settings, secrets, abandon_on_cancel=True)
        problems += [f"the trajectory could not be written: {why}"] if why is not None else []
    if settings.otel:
        why = "not in time"
        with anyio.move_on_after(time_budget.remaining_up_to(_SEND_SECONDS + 1)):
            why = await anyio.to_thread.run_sync(_send, document, settings, secrets, abandon_on_cancel=True)
        problems += [f"the spans were not sent: {why}"] if why is not None else []
    return problems


def _write_document(document: Trajectory, settings: Settings, secrets: tuple[str, ...]) -> tuple[str | None, str | None]:
    try:
        return str(write_trajectory(settings.state_dir, document, hide=secrets)), None
    except (DriverError, OSError, ValueError) as error:
        return None, error.message if isinstance(error, DriverError) else str(error)


def _send(document: Trajectory, settings: Settings, secrets: tuple[str, ...]) -> str | None:
    from netclaw_opencode.report import spans

    try:
        spans.send(document.hide(secrets), settings.environ, with_texts=spans.wants_texts(settings.environ), limit_seconds=_SEND_SECONDS)
        return None
    except (DriverError, OSError, ValueError) as error:
        return error.message if isinstance(error, DriverError) else str(error)


def _is_silent(error: BaseException | None) -> bool:
    """Return whether the server has just been seen not to answer: then it is not waited for once more."""
    stop = error.stop if isinstance(error, DriverError) else None
    return isinstance(error, ServerProblem) or (stop is not None and not stop.confirmed and not (stop.attempts or stop.active))


def _limit_seconds(error: BaseException | None) -> float:
    if error is None:
        return time_budget.remaining_up_to(GATHER_SECONDS)
    most = _AFTER_FAILURE_SECONDS if isinstance(error, DriverError) else _AFTER_CANCEL_SECONDS
    return min(most, max(0.2, time_budget.remaining(default=most) * _SHARE))


def _without_texts(output: JsonObject) -> dict[str, object]:
    """Return a result without what stands in the steps."""
    kept = {name: value for name, value in output.items() if name not in _SHOWN_IN_STEPS}
    for name in ("plan", "implementation"):
        if isinstance(part := kept.get(name), Mapping):
            kept[name] = _without_texts(cast("JsonObject", part))
    return kept


def _fit(value: JsonObject) -> dict[str, object]:
    """Return a result or an error that is not too large: long texts are cut, and a diff that would be cut is left out."""
    for most in _LIMITS:
        found = cast("dict[str, object]", _cut(value, most))
        if len(json.dumps(found, ensure_ascii=False, default=str)) <= _RESULT_CHARS:
            return found
    return {"left_out": "it is too large"}


def _cut(value: object, most: int, name: str = "") -> object:
    if isinstance(value, str):
        if len(value) <= most:
            return value
        return "" if name == "diff" else f"{value[: most // 2]}\n[… {len(value) - most} characters left out …]\n{value[-(most // 2) :]}"
    if isinstance(value, Mapping):
        return {key: _cut(inner, most, str(key)) for key, inner in value.items()}
    return [_cut(inner, most, name) for inner in value] if isinstance(value, list | tuple) else value


def now() -> str:
    """Return the time as the document has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["Recording", "finish", "recording"]
