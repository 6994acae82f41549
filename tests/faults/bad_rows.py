"""The rows of "Bad input", B1-B45, as data: what is refused, and how it is shown.

Owns the list. A row has tests that bear its name (``test_b03_…``), or a reason why it cannot be shown here; never both and
never neither (``test_b_rows.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number, what it is about, how it is shown, and, where it has no test, why."""

    id: str
    title: str
    shown: str = ""
    reason: str | None = None


NOTHING_SENT = "through the host, before a listener that counts connections: none"
TYPED = "on the command line, before a listener that counts connections: none"
ON_THE_SERVER = "on the real server, through the proxy: nothing is created, sent or aborted"
SETTINGS = "the settings, as every adapter reads them; no connection is made"


def by_id(rows: Iterable[Row]) -> Mapping[str, Row]:
    """The rows by number, in order."""
    return {row.id: row for row in rows}


ROWS = by_id(
    (
        Row("B1", "session id empty, None, a number or a list", NOTHING_SENT),
        Row("B2", "session id without its prefix", NOTHING_SENT),
        Row("B3", "session id that walks to another route", NOTHING_SENT),
        Row("B4", "session id of dots or of a host", NOTHING_SENT),
        Row("B5", "session id with a query or a fragment", NOTHING_SENT),
        Row("B6", "session id with letters that only look plain", NOTHING_SENT),
        Row("B7", "session id of 10,000 characters", NOTHING_SENT),
        Row("B8", "well-formed id of a session that is not there, for abort too", ON_THE_SERVER),
        Row("B9", "message id without its prefix", NOTHING_SENT),
        Row("B10", "prompt that is empty or only blanks", NOTHING_SENT),
        Row("B11", "prompt above 1 MiB, counted in bytes", NOTHING_SENT),
        Row("B12", "prompt file missing, a folder, unreadable, a device or a FIFO", TYPED),
        Row("B13", "prompt file that is not UTF-8; one with a byte order mark", TYPED),
        Row("B14", "prompt and prompt file, or neither", TYPED),
        Row("B15", "parts of a message: they are ours alone to make, so the field is unknown", NOTHING_SENT),
        Row("B16", "model without a provider, or with blanks", NOTHING_SENT),
        Row("B17", "provider, model or agent that the server does not know", ON_THE_SERVER),
        Row("B18", "relative directory", NOTHING_SENT),
        Row("B19", "missing directory", NOTHING_SENT),
        Row("B20", "directory that is a file", NOTHING_SENT),
        Row("B21", "directory outside the roots, or led there by a link", NOTHING_SENT),
        Row("B22", "directory with control characters; one with letters of all alphabets", f"{NOTHING_SENT}; and {ON_THE_SERVER}"),
        Row("B23", "deadline that is no number above 0 up to its limit", NOTHING_SENT),
        Row("B24", "wait that is no number above 0 up to its limit (there is no poll interval to choose)", NOTHING_SENT),
        Row("B25", "limit outside 1 to 1000", NOTHING_SENT),
        Row("B26", "title too long, empty or with control characters", NOTHING_SENT),
        Row("B27", "parent session that is not there", ON_THE_SERVER),
        Row("B28", "OPENCODE_API_URL empty, with blanks, without a scheme", SETTINGS),
        Row("B29", "OPENCODE_API_URL with another scheme", SETTINGS),
        Row("B30", "OPENCODE_API_URL with credentials", SETTINGS),
        Row("B31", "OPENCODE_API_URL that hides its host behind an @", SETTINGS),
        Row("B32", "OPENCODE_API_URL with a malformed host or port", SETTINGS),
        Row("B33", "OPENCODE_API_URL with a path, a query or a fragment", SETTINGS),
        Row("B34", "OPENCODE_API_URL in clear text to another machine", SETTINGS),
        Row("B35", "port of a server to start outside 0 and 1024 to 65535", NOTHING_SENT),
        Row("B36", "host name for a server to start: it is loopback, and the field is unknown", NOTHING_SENT),
        Row(
            "B37",
            "batch of no, too many or wrong items",
            reason="there is no batch action: send_message_async and wait_for_session stand for it",
        ),
        Row("B38", "batch file: there is none; the same rules for a JSON file that a flag names", TYPED),
        Row("B39", "unknown action, misspelt option", TYPED),
        Row("B40", "unknown keys in a request", NOTHING_SENT),
        Row("B41", "standard input closed, a terminal, or silent", TYPED),
        Row("B42", "password variable set, but empty", ON_THE_SERVER),
        Row("B43", "password with a colon, other letters, or a line break", SETTINGS),
        Row("B44", "user name with a colon", SETTINGS),
        Row("B45", "state folder that is the root, a file, or not this user's alone", NOTHING_SENT),
    )
)
