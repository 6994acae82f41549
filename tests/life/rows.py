"""The rows of "The life of a real task", L1-L40, as data: what happens to a healthy task, and what comes of it here.

Owns the list, and the page made from it: ``python -m tests.life.rows > docs/life.md``. Each row has tests that bear its number
(``test_l01_…``). ``note`` says what was found otherwise, or how far the test goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.faults.rows import Fault as LifeRow

ROWS: dict[str, LifeRow] = {
    row.id: row
    for row in (
        LifeRow(
            "L1", "the context is compacted in the middle of a turn (F58)", outcome="completed, with `compactions`; usage over everything"
        ),
        LifeRow("L2", "the summary of a compaction fails", outcome="the provider's error by its code, stopped"),
        LifeRow("L3", "a message store of 20 MB", outcome="completed, whatever the size"),
        LifeRow("L4", "160 steps of 20 KiB", outcome="bytes read over the whole turn at most 1.3 times the store"),
        LifeRow("L5", "400 steps", outcome="completed; the store is never held as a whole"),
        LifeRow(
            "L6", "a cold directory on a busy machine (F59)", outcome="completed; only the server or the deadline says that nothing started"
        ),
        LifeRow("L7", "an MCP server of the folder that answers late, or never", outcome="the call's own deadline bounds it"),
        LifeRow("L8", "work done by tools, last message empty (F63)", outcome="completed with the earlier text, flag `empty_final`"),
        LifeRow("L9", "a permission without a decision", outcome="refused with a message, listed under `refused`; or `stop`, or `return`"),
        LifeRow(
            "L10",
            "a question without an answer",
            outcome="not offered if it could not be answered; otherwise the agent is asked to decide alone",
        ),
        LifeRow("L11", "a look that fails in the middle of a turn", outcome="tolerated, reported in `notes`"),
        LifeRow("L12", "connect time-out while following", outcome="no claim that the server ended"),
        LifeRow("L13", "a finished turn whose details cannot be read", outcome="completed, with a note"),
        LifeRow("L14", "an output that does not fit its schema", outcome="returned with a note"),
        LifeRow(
            "L15", "`idempotency_key` with `fallback_models`, called twice", outcome="one task: the newest attempt is found and followed"
        ),
        LifeRow("L16", "a fallback after a stop that is not proved", outcome="not started; the first attempt's error says so"),
        LifeRow("L17", "a second caller of a key that gives up sooner", outcome="only its own waiting ends"),
        LifeRow(
            "L18",
            "`recover`, `stop_server`, `start_server` beside a running call",
            outcome="it goes on, or ends with a typed error, stopped",
        ),
        LifeRow(
            "L19",
            "a caller in another PID namespace",
            outcome="never counted as gone",
            note="shown with `unshare`; what it leaves when killed goes by `cleanup --older-than-seconds`",
        ),
        LifeRow(
            "L20",
            "the wall clock is stepped",
            outcome="nothing changes",
            note="the machine's clock stays; what the system tells of boot and start times is moved by an hour",
        ),
        LifeRow("L21", "a person forks a running task's session (F62)", outcome="the fork stays: a tag names its session"),
        LifeRow("L22", "a restart with the user's own password and port", outcome="the new server lives"),
        LifeRow(
            "L23",
            "a broken project next door, or one that does not answer",
            outcome="other projects' calls succeed, and tell; a look takes a tenth of the call's time at most",
        ),
        LifeRow(
            "L24",
            "large or many marks in sessions",
            outcome="lists are read in pages; schemas do not stand in them",
            note="a session larger than any answer is passed over and told",
        ),
        LifeRow("L25", "a cancellation while the deadline's own stop runs", outcome="stopped and proved"),
        LifeRow(
            "L26", "an event stream that is accepted and never answered", outcome="given up after the silence limit; sends do not wait"
        ),
        LifeRow("L27", "an event of unexpected types", outcome="counted, passed over"),
        LifeRow("L28", "two callers that share a read, one with little time", outcome="each waits with its own limit"),
        LifeRow("L29", "same port, new password after a restart", outcome="looked up again"),
        LifeRow("L30", "clocks that differ between caller and server", outcome="no false ending"),
        LifeRow("L31", "a short password that is also a word", outcome="hidden as a whole token only; the envelope counts the places"),
        LifeRow("L32", "a link swapped between check and use of `directory`", outcome="the checked path is the used one"),
        LifeRow("L33", "`get_session_status` over 30 directories", outcome="within its deadline; read side by side"),
        LifeRow("L34", "a host that lives for weeks with many directories", outcome="what it remembers is bounded"),
        LifeRow("L35", "another prompt joins the session in the middle of our turn", outcome="an error of its own; our share is told"),
        LifeRow("L36", "a prompt that may start late is aborted at once", outcome="proved only where the prompt stands in the store"),
        LifeRow(
            "L37",
            "an output schema read back from the server is changed",
            outcome="checked against its digest; otherwise not used, and told",
        ),
        LifeRow("L38", "nested sub-agents with compactions of their own", outcome="usage complete; a stop covers them"),
        LifeRow(
            "L39", "a policy plugin that cannot be imported", outcome="a host that requires it refuses to run, answer or start anything"
        ),
        LifeRow("L40", "a NUL or another control character in a prompt", outcome="`invalid_input` with its position"),
    )
}


def page() -> str:
    """docs/life.md."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# The life of a task"
    yield ""
    yield "What happens to a healthy task in its hours, and what comes of it. Each row has tests of its number in `tests/life/`, on the"
    yield "real OpenCode with the offline model. This page is made from `tests/life/rows.py`."
    yield ""
    yield "| Row | What happens | What comes of it |"
    yield "| --- | --- | --- |"
    for row in ROWS.values():
        yield f"| {row.id} | {row.title} | {row.outcome}{f' ({row.note})' if row.note else ''} |"


if __name__ == "__main__":
    sys.stdout.write(page())
