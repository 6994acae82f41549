"""Handler of report: what a task left, as a page to look at, as ATIF, or as spans for a collector of OpenTelemetry. It needs no server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio.to_thread

from netclaw_opencode import __version__
from netclaw_opencode._core.private_files import create_private
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.records import trajectory
from netclaw_opencode.records.outline import read_outline
from netclaw_opencode.records.trajectory import ModelCall, Session, Trajectory
from netclaw_opencode.report.markup import GENERATOR

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

_SEND_SECONDS = 20.0
_NAMES = {"html": "report.html", "atif": "trajectory.json"}
_MARKS = {"html": GENERATOR.encode(), "atif": b'"driver": "netclaw-opencode '}
"""What each file that is written here holds near its beginning."""
_NEAR = 4096


async def report(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Make a page, an ATIF document or spans of one task."""
    kind = read.text(arguments, "format") or "html"
    source = _path(arguments, "file") or _path(arguments, "record")
    if source is None or ("file" in arguments and "record" in arguments):
        raise InvalidInput("invalid_input", "exactly one of file and record is needed: what a task left, or a flight record")
    if "call" in arguments and "record" not in arguments:
        raise InvalidInput("invalid_input", "call chooses a call of a flight record: name that by record")
    if kind == "otel" and "output" in arguments:
        raise InvalidInput("invalid_input", "output is for html and atif: spans go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names")
    if kind != "otel" and "include_texts" in arguments:
        raise InvalidInput("invalid_input", "include_texts is for otel: the other formats hold the texts")
    whole = await anyio.to_thread.run_sync(lambda: _load(arguments, source))
    found = whole.hide(context.secrets)
    output: dict[str, object] = {
        "format": kind,
        "task": {
            "action": found.action,
            "outcome": found.outcome,
            "began_at": found.began_at,
            "ended_at": found.ended_at,
            "sessions": len(found.sessions),
            "steps": len(found.steps),
        },
        "notes": list(found.left_out),
    }
    if kind == "otel":
        from netclaw_opencode.report import spans

        environ = context.settings.environ
        with_texts = read.flag(arguments, "include_texts") or spans.wants_texts(environ)
        count, endpoint = await anyio.to_thread.run_sync(
            lambda: spans.send(found, environ, with_texts=with_texts, limit_seconds=_SEND_SECONDS), abandon_on_cancel=True
        )
        return {**output, "spans": count, "sent_to": endpoint}
    target = _target(arguments, kind)
    content = await anyio.to_thread.run_sync(lambda: _made(found, kind))
    await anyio.to_thread.run_sync(_write, target, content, _MARKS[kind])
    return {**output, "path": str(target), "bytes": len(content)}


def _made(found: Trajectory, kind: str) -> bytes:
    if kind == "atif":
        from netclaw_opencode.report.atif import to_atif

        return json.dumps(to_atif(found), ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"
    from netclaw_opencode.report.page import render

    return render(found).encode("utf-8", "replace")


def _path(arguments: JsonObject, name: str) -> Path | None:
    text = read.text(arguments, name)
    if text is None:
        return None
    path = Path(text)
    if not path.is_absolute():
        raise InvalidInput("invalid_input", f"{name} {text[:200]!r} must be absolute; it would become {str(path.resolve())!r}")
    return path


def _load(arguments: JsonObject, source: Path) -> Trajectory:
    if "record" in arguments:
        return read_outline(source, call=read.text(arguments, "call"))
    document = trajectory.read_document(source)
    if isinstance(document, Mapping) and "ok" in document:
        return _of_envelope(document, source)
    return Trajectory.from_wire(document, source=str(source))


def _of_envelope(envelope: JsonObject, source: Path) -> Trajectory:
    """Return the transcript that a result names; if it is gone, what the result itself holds."""
    whole = _part(envelope, "full_result").get("path")
    if isinstance(whole, str):
        # What was printed was cut; the rest is in a file.
        with suppress(InvalidInput):
            kept = trajectory.read_document(Path(whole))
            envelope = kept if isinstance(kept, Mapping) else envelope
    data, error = _part(envelope, "data"), _part(envelope, "error")
    named = data.get("trajectory") or _part(error, "details").get("trajectory")
    if isinstance(named, str):
        try:
            return trajectory.read_trajectory(Path(named))
        except InvalidInput as problem:
            return _bare(envelope, data, error, source, why=f"the transcript ({problem.message})")
    if not (data.get("session_id") or data.get("plan") or _part(error, "details").get("session_id")):
        raise InvalidInput("invalid_input", f"{source}: it is the result of {envelope.get('action')}, which is no task of an agent")
    return _bare(envelope, data, error, source, why="the transcript: the result names none")


def _bare(envelope: JsonObject, data: JsonObject, error: JsonObject, source: Path, *, why: str) -> Trajectory:
    ended = datetime.fromtimestamp(source.stat().st_mtime, UTC)
    seconds = data.get("elapsed_seconds")
    began = ended - timedelta(seconds=seconds if isinstance(seconds, int | float) else 0.0)
    at_ms = int(ended.timestamp() * 1000)
    sessions, steps = [], []
    for part, turn in (("task", data), ("plan", _part(data, "plan")), ("implementation", _part(data, "implementation"))):
        session_id = turn.get("session_id")
        if not isinstance(session_id, str):
            continue
        sessions.append(Session(session_id, part=part))
        earlier = turn.get("messages")
        texts = [item.get("text") for item in earlier if isinstance(item, Mapping)] if isinstance(earlier, list) else []
        for number, text in enumerate([*texts, turn.get("text")], 1):
            if text:
                steps.append(ModelCall(session_id, f"{part} {number}", at_ms, at_ms, _part(turn, "model"), str(text)))
    wire = Trajectory(
        action=str(envelope.get("action")),
        version=__version__,
        began_at=_iso(began),
        ended_at=_iso(ended),
        directory="",
        outcome=str(error["code"]) if "code" in error else str(data.get("state", "completed")),
        model=_part(data, "model"),
        sessions=tuple(sessions),
        steps=tuple(steps),
        left_out=(why, "the times of its steps: it ended no later than the file was written"),
        result={name: value for name, value in data.items() if name not in ("text", "messages")} if data else None,
        error=error or None,
    ).to_wire()
    # What a stranger's file holds is checked as a whole.
    return Trajectory.from_wire(json.loads(json.dumps(wire)), source=str(source))


def _part(source: JsonObject, name: str) -> JsonObject:
    found = source.get(name)
    return cast("JsonObject", found) if isinstance(found, Mapping) else {}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _target(arguments: JsonObject, kind: str) -> Path:
    """Return where the file goes: a name of its own kind, so that nothing else is ever made by this action."""
    target = _path(arguments, "output") or Path.cwd() / _NAMES[kind]
    suffix = Path(_NAMES[kind]).suffix
    if target.suffix != suffix:
        raise InvalidInput("invalid_input", f"output {str(target)[:200]!r} must end in {suffix}")
    return target


def _write(target: Path, content: bytes, mark: bytes) -> None:
    """Write the file whole or not at all; only an earlier report is replaced."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        is_ours = _is_ours(target, mark)
        create_private(temporary, content)
        if is_ours:
            temporary.replace(target)
        else:
            target.hardlink_to(temporary)  # refuses what has come meanwhile
    except FileExistsError as error:
        raise InvalidInput("invalid_input", f"{target} exists and is no report; name another output, or remove it") from error
    except OSError as error:
        raise ActionFailed(
            "report_failed", f"{target} cannot be written: {error.strerror or error}", details={"path": str(target)}
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _is_ours(target: Path, mark: bytes) -> bool:
    """Return whether an earlier report stands there; raises ``FileExistsError`` if something else does."""
    try:
        if not target.is_symlink() and target.is_file():
            with target.open("rb") as file:
                if mark in file.read(_NEAR):
                    return True
        if target.is_symlink() or target.exists():
            raise FileExistsError
    except FileNotFoundError:
        pass
    return False


__all__ = ["report"]
