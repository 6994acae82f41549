"""Readable text for envelopes: one small view for each action, one for errors, one for anything else.

Owns the choice of the view and the console. A view gets the envelope's ``data`` and yields what rich can print; all text
from outside goes through ``terminal.escape_controls`` there. A view that stumbles never costs the result: the plain one follows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, RenderableType

from netclaw_opencode.adapters.cli.views import batches, checks, errors, lists, plain, reports, states, turns, upkeep, works
from netclaw_opencode.adapters.cli.views.reading import Data, part

VIEWS = {
    "actions": lists.actions,
    "apply_work": works.applied,
    "abort_session": states.aborted,
    "check_availability": checks.availability,
    "check_policy": checks.policy,
    "cleanup": upkeep.cleanup,
    "create_session": states.created,
    "delete_session": states.deleted,
    "discard_work": works.discarded,
    "doctor": checks.doctor,
    "explain": lists.stories,
    "get_session_result": turns.turn,
    "get_session_status": lists.statuses,
    "install_opencode": states.opencode_installed,
    "list_providers": lists.providers,
    "list_sessions": lists.sessions,
    "list_work": works.works,
    "recover": upkeep.recovery,
    "reply_permission": states.answered,
    "reply_question": states.answered,
    "report": reports.report,
    "run_plan_and_implement": turns.plan_and_implementation,
    "run_task": turns.turn,
    "send_message": turns.turn,
    "send_message_async": states.sent,
    "start_server": states.server_started,
    "stop_server": states.server_stopped,
    "verify_work": works.verified,
    "wait_for_session": states.waited,
    "cancel_batch": batches.batch,
    "export_batch": batches.export,
    "get_batch": batches.batch,
    "get_batch_results": batches.results,
    "list_batches": batches.batches,
    "pause_batch": batches.batch,
    "retry_batch": batches.batch,
    "run_batch": batches.batch,
    "submit_batch": batches.batch,
    "wait_for_batch": batches.batch,
    "watch_events": lists.events,
}


def console_for(stream: TextIO) -> Console:
    """Return a console that adds nothing of its own: no markup, no highlighting, no wrapping unless it is a terminal."""
    width = None if stream.isatty() else 4096
    return Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=width is not None, width=width)


def print_envelope(envelope: Mapping[str, object], *, shown_live: bool = False) -> None:
    """Print a result on stdout, an error on stderr."""
    stream = sys.stdout if envelope.get("ok") is True else sys.stderr
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # a terminal of another encoding must not cost the result
    console = console_for(stream)
    for piece in render(envelope, shown_live=shown_live):
        print_piece(console, piece)


def print_piece(console: Console, piece: RenderableType) -> None:
    """Print; without the blanks that rich fills lines with, if it is not a terminal."""
    if console.is_terminal:
        console.print(piece)
        return
    with console.capture() as captured:
        console.print(piece)
    lines = captured.get().rstrip("\n").split("\n")
    console.file.write("".join(f"{line.rstrip()}\n" for line in lines))
    console.file.flush()


def render(envelope: Mapping[str, object], *, shown_live: bool = False) -> list[RenderableType]:
    """Return the pieces of an envelope, top to bottom."""
    action = str(envelope.get("action", ""))
    if envelope.get("ok") is not True:
        return list(errors.error(action, part(envelope, "error")))
    data = part(envelope, "data")
    if shown_live and action == "watch_events":
        return list(lists.events_end(data))
    return _view_or_plain(action, data)


def _view_or_plain(action: str, data: Data) -> list[RenderableType]:
    view = VIEWS.get(action)
    if view is not None:
        try:
            return list(view(data))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            if os.environ.get("PYTHONDEVMODE"):
                raise
    return list(plain.anything(data))


__all__ = ["VIEWS", "console_for", "print_envelope", "print_piece", "render"]
