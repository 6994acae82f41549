"""The routes of OpenCode's server that this package may call: a closed list, as data.

Owns names, methods, paths, size limits and time limits. A request that is not in this table cannot be made
(``client.http`` takes a ``Route``, never a path). Routes that run shells, edit files, change configuration, upgrade or
share (``/session/{id}/shell``, ``/pty``, ``/file``, ``PATCH /config``, ``/global/upgrade`` …) are left out on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

KIB = 1024
MIB = 1024 * KIB

Retry = Literal["safe", "connect"]
"""``safe``: may be repeated (reads, and writes that are idempotent). ``connect``: only when nothing was sent."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the server; ``limit_bytes`` bounds its answer.

    ``limit_seconds`` bounds its time from connect to last byte, beyond what the running call bounds anyway: only where a longer
    wait would be of no use to any caller.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    retry: Retry = "safe"
    limit_bytes: int = 1 * MIB
    limit_seconds: float | None = None


HEALTH = Route("health", "GET", "/global/health")
EVENTS = Route("events", "GET", "/global/event")
DOC = Route("doc", "GET", "/doc", limit_bytes=4 * MIB)
PATH = Route("path", "GET", "/path")
CONFIG = Route("config", "GET", "/config")
AGENTS = Route("agents", "GET", "/agent")
CONNECTED_PROVIDERS = Route("connected_providers", "GET", "/config/providers", limit_bytes=16 * MIB)
ALL_PROVIDERS = Route("all_providers", "GET", "/provider", limit_bytes=16 * MIB)
SESSIONS = Route("sessions", "GET", "/session", limit_bytes=4 * MIB)
ALL_SESSIONS = Route("all_sessions", "GET", "/experimental/session", limit_bytes=4 * MIB)
SESSION_STATUS = Route("session_status", "GET", "/session/status")
SESSION_CREATE = Route("session_create", "POST", "/session", retry="connect")
SESSION_GET = Route("session_get", "GET", "/session/{session_id}")
SESSION_UPDATE = Route("session_update", "PATCH", "/session/{session_id}")
SESSION_DELETE = Route("session_delete", "DELETE", "/session/{session_id}")
SESSION_CHILDREN = Route("session_children", "GET", "/session/{session_id}/children")
SESSION_FORK = Route("session_fork", "POST", "/session/{session_id}/fork", retry="connect")
SESSION_ABORT = Route("session_abort", "POST", "/session/{session_id}/abort", limit_seconds=3.0)
SESSION_DIFF = Route("session_diff", "GET", "/session/{session_id}/diff", limit_bytes=16 * MIB)
# Read in pages; one message of a page may be large (a file that the agent wrote), and that is no reason to lose its turn.
MESSAGES = Route("messages", "GET", "/session/{session_id}/message", limit_bytes=256 * MIB)
MESSAGE = Route("message", "GET", "/session/{session_id}/message/{message_id}", limit_bytes=256 * MIB)
PROMPT_ASYNC = Route("prompt_async", "POST", "/session/{session_id}/prompt_async", retry="connect")
PERMISSIONS = Route("permissions", "GET", "/permission")
PERMISSION_REPLY = Route("permission_reply", "POST", "/permission/{request_id}/reply", retry="connect")
QUESTIONS = Route("questions", "GET", "/question")
QUESTION_REPLY = Route("question_reply", "POST", "/question/{request_id}/reply", retry="connect")
QUESTION_REJECT = Route("question_reject", "POST", "/question/{request_id}/reject", retry="connect")

ALL: tuple[Route, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Route))
