"""The rows of "Fault matrix", R1-R64, as data: what goes wrong, what comes of it here, and how it is shown.

Owns the list, and the page made from it: ``python -m tests.faults.rows > docs/reliability.md``. ``note`` says where good sense
was followed rather than the letter of a row, or what the fast form leaves to ``make soak``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import bad_rows, security_rows


@dataclass(frozen=True, slots=True)
class Fault(bad_rows.Row):
    """A row with what comes of the fault."""

    outcome: str = ""
    note: str = ""


def _row(number: str, title: str, outcome: str, shown: str, note: str = "") -> Fault:
    return Fault(number, title, shown, outcome=outcome, note=note)


FIGURES = Path(__file__).resolve().parents[2] / "docs" / "figures.json"
"""Readings of the long runs, written by ``python -m tests.soak --write``."""

MODEL = "the offline model"
WIRE = "the proxy"
OWN = "a server of our own, broken"
HOME = "a start in a prepared home"

ROWS: dict[str, Fault] = {
    row.id: row
    for row in (
        _row("R1", "nothing listens", "`server_unreachable`", "a free port"),
        _row(
            "R2",
            "connection attempts are dropped",
            "`server_unreachable`, reason timeout",
            "a listener whose queue is full: the kernel drops",
        ),
        _row("R3", "the first requests are never answered (F2)", "ready on a later probe; `server_not_ready` if all are swallowed", WIRE),
        _row(
            "R4",
            "program missing, not executable, no program",
            "`binary_not_found` with the exact path",
            HOME,
            "one code for every way of not having a program; `server_start_failed` means that one ran and ended",
        ),
        _row("R5", "the server ends at once: its database is corrupt", "`server_start_failed`, exit code, log tail", HOME),
        _row("R6", "the server ends at once: data folder cannot be written", "`server_start_failed`, exit code", HOME),
        _row("R7", "the port belongs to another OpenCode", "`port_in_use`; the stranger is asked nothing", HOME),
        _row(
            "R8",
            "the port is taken between choice and use",
            "another port, proved to be ours; `port_in_use` for a named one",
            "an impostor that binds at that moment; a port that is the near end of a connection",
        ),
        _row(
            "R9",
            "the server says it listens, and stalls",
            "`server_not_ready`; the whole tree is ended",
            "a wrapper that stops the real one",
        ),
        _row("R10", "many processes start the server at once", "one starts it, the others adopt it", "8 processes", "20 in `make soak`"),
        _row(
            "R11",
            "broken opencode.json behind a healthy server (F39)",
            "`config_error` with file and line",
            "a project folder with such a file",
        ),
        _row("R12", "wrong or missing password", "`auth_failed` after one request; nothing of the secret is told", WIRE),
        _row("R13", "a web page at the address", "`not_opencode`", "the proxy; an unknown route of the real server"),
        _row("R14", "another protocol at the address", "`not_opencode`", WIRE),
        _row(
            "R15",
            "redirect to another host",
            "`bad_response`; the target sees no connection",
            "the proxy, and a listener",
            "for health: `not_opencode`, since OpenCode's does not redirect",
        ),
        _row(
            "R16",
            "version outside 1.18 <= v < 2",
            "`unsupported_version`, no other route is called",
            WIRE,
            "a health answer without any version is `not_opencode`",
        ),
        _row("R17", "version with a known hole", "refused below 1.18; a warning for a running 1.18.0 to 1.18.21", WIRE),
        _row("R18", "latency", "within the limits a result; beyond the deadline `request_timeout`, nothing sent", WIRE, "0.7 s and 60 s"),
        _row(
            "R19",
            "1 KB/s on a large answer",
            "`turn_timeout`; the end of the turn is proved by status and quiet",
            WIRE,
            "200 KB in the fast form; the deadline does not care for the size",
        ),
        _row("R20", "8 bytes a second (F53)", "`request_timeout` before the send, `turn_timeout` after it", WIRE),
        _row(
            "R21",
            "accepted, then silence",
            "`request_timeout` before the send; `turn_timeout` after it, stopped; a prompt that never came is refused from then on; "
            "a silent event stream only delays",
            WIRE,
        ),
        _row(
            "R22",
            "reset",
            "one costs a repetition; all: `connection_lost` at T, stopped; a lost send is repeated with the same ids only if it did not "
            "arrive; a lost creation is found by its mark",
            WIRE,
        ),
        _row("R23", "answer cut in the head or in the body", "`connection_lost` at T, stopped; never half an answer", WIRE),
        _row("R24", "gzip bomb of 200 MB", "`bad_response` at T, unread; memory grows by less than 32 MiB", WIRE),
        _row("R25", "invalid JSON, wrong schema, null, NaN, keys twice, 5,000 levels", "`bad_response` at T, stopped", WIRE),
        _row("R26", "model hangs before its first byte", "`turn_timeout` at T, stopped, deleted", MODEL),
        _row("R27", "model hangs mid-stream", "`turn_timeout` with the partial text", MODEL),
        _row("R28", "model drips for ever", "`turn_timeout` at T: output does not extend it", MODEL),
        _row("R29", "429 for ever", "`provider_retrying` with attempt and message", MODEL),
        _row("R30", "429, retry after an hour (F43)", "`provider_retrying` when seen, not at T", MODEL),
        _row("R31", "500, closed socket", "`provider_retrying`", MODEL),
        _row("R32", "401, 400", "`provider_auth`, `provider_error`; keys hidden", MODEL),
        _row("R33", "malformed stream", "`provider_error`", MODEL),
        _row("R34", "stream without an end (F40)", "`runaway_turn`; fewer than ten model calls, twenty on a machine under load", MODEL),
        _row(
            "R35",
            "captive portal in the model's place",
            "`runaway_turn`; fewer than ten model calls, twenty on a machine under load",
            MODEL,
        ),
        _row("R36", "empty completion", "`empty_output`", MODEL),
        _row("R37", "huge answer", "completed, whole, whatever its size", MODEL, "1 MiB and 17 MiB"),
        _row("R38", "control characters in the answer", "JSON exact", MODEL, "what a terminal gets is S14"),
        _row("R39", "shell child hangs", "`turn_timeout`; the command is gone", MODEL),
        _row(
            "R40",
            "permission asked",
            "refused with words, and the agent goes on; with `on_request: stop` `permission_required`; not left listed",
            MODEL,
        ),
        _row(
            "R41", "unknown model or agent", "refused before the send; one that slips through fails by name", "the offline model, the proxy"
        ),
        _row("R42", "session is busy", "`session_busy`, nothing posted", "a held turn, the proxy's count"),
        _row("R43", "session was used", "`session_used`; for whoever insists the abort goes out first", "the proxy's order"),
        _row("R44", "two callers send together", "one sends, the other `session_locked`, or `session_used` where it was too late", WIRE),
        _row(
            "R45", "caller killed by SIGKILL", "the next call stops and removes what was left, and says so", "six points, held by the proxy"
        ),
        _row("R46", "caller interrupted by SIGINT, SIGTERM", "`cancelled`, stopped, deleted, exit code 130", "the command as a process"),
        _row("R47", "second signal in the clean-up", "leaves at once; the next call removes the session", "the command as a process"),
        _row("R48", "cancelled in the middle of the clean-up", "the clean-up is completed first", "cancellation at three points"),
        _row("R49", "server killed mid-turn", "`server_died`; its orphaned commands are ended, found by their mark", OWN),
        _row("R50", "server restarted mid-turn (F33, F44)", "`interrupted`", "a server restarted behind the proxy"),
        _row(
            "R51",
            "server hangs (SIGSTOP)",
            "`turn_timeout`, stop not confirmed; `recover` kills it if it is ours, and starts afresh",
            OWN,
            "a call that ran out of time does not kill a server that others use: that is the caller's decision",
        ),
        _row("R52", "abort fails, hangs or lies", "`abort_unconfirmed` with what still runs", WIRE),
        _row("R53", "delete fails, hangs or lies", "told as not removed (`cleanup_incomplete`); the next call removes it", WIRE),
        _row("R54", "delete while busy (F24)", "stopped first; refused without a seen stop", WIRE),
        _row(
            "R55",
            "the recorded pid is another program now",
            "`kill_refused`, or taken for gone; no signal",
            "a forged record of a live program",
            "no pid is reused by force (that needs a namespace of its own)",
        ),
        _row("R56", "another program on the port, named opencode", "`kill_refused`", "a web server with that name and those arguments"),
        _row("R57", "a process of another user", "`kill_refused`", "a forged record"),
        _row("R58", "server ignores SIGTERM", "SIGKILL after 5 s, told; the tree is gone", OWN),
        _row("R59", "event stream dies silently", "given up, opened anew; no completion is lost", WIRE),
        _row("R60", "nobody reads the events", "dropped beyond 1,000 and counted; the turn is not disturbed", MODEL),
        _row("R61", "one of many tasks fails", "each has its own result", "background tasks side by side", "there is no batch action"),
        _row("R62", "many tasks cancelled half-way", "running ones stopped and removed, finished ones kept", "a host that is left"),
        _row(
            "R63",
            "state file damaged, disk full",
            "`state_corrupt`, or as if there were none; no signal",
            "prepared folders",
            "the full disk by fsync",
        ),
        _row("R64", "proxy variables in the environment", "not used", "variables that lead nowhere"),
    )
}


def page() -> str:
    """The page ``docs/reliability.md``."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    shown = sum(row.reason is None for row in ROWS.values())
    yield "# Reliability"
    yield ""
    yield "<!-- Made by `python -m tests.faults.rows > docs/reliability.md`; do not edit. -->"
    yield ""
    yield "What happens when server, model, network, host or user misbehave. Each row is shown by tests that bear its number, in"
    yield "`tests/faults`, on the real OpenCode server with the offline model; a row without a test, or a test without a row, fails the"
    yield "suite. After each row the leak check looks, by raw HTTP and not through the driver, for sessions, running turns, pending"
    yield "requests, processes and model calls on the server, and for threads, descriptors, locks and files of the caller."
    yield ""
    yield f"Faults shown: {shown} of {len(ROWS)}. A fault that ends in a success that is none: 0, or the suite is red."
    yield ""
    yield "## Faults"
    yield ""
    yield "| Row | Fault | Outcome here | How it is shown |"
    yield "| --- | --- | --- | --- |"
    for row in ROWS.values():
        how = row.reason if row.reason is not None else row.shown
        yield f"| {row.id} | {row.title} | {row.outcome} | {how}{f' ({row.note})' if row.note else ''} |"
    for title, rows in (("Bad input", bad_rows.ROWS), ("Security", security_rows.ROWS)):
        yield ""
        yield f"## {title}"
        yield ""
        yield "| Row | What | How it is shown |"
        yield "| --- | --- | --- |"
        for other in rows.values():
            yield f"| {other.id} | {_cell(other.title)} | {_cell(other.reason if other.reason is not None else other.shown)} |"
    yield from _figures()


def _figures() -> Iterator[str]:
    yield ""
    yield "## Figures"
    yield ""
    yield "Readings of the long runs (`make soak`), of the mutation check (`make mutants`, G19) and of the benches; each with its date and"
    yield "machine. They are read by hand, not by CI: what matters of each run stands in its fast form above."
    yield ""
    yield "| Figure | Goal | Reading | Met | When and where |"
    yield "| --- | --- | --- | --- | --- |"
    for name, each in json.loads(FIGURES.read_text(encoding="utf-8")).items():
        where = f"{each['date']}, {each['seconds']} s; {each['machine']}"
        yield f"| {name} | {_cell(each['goal'])} | {_cell(each['reading'])} | {'yes' if each['held'] else 'NO'} | {_cell(where)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(page())
