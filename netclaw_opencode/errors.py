"""Every way a call can end other than well: one table of codes, one tree of exceptions.

Owns the closed list of error codes (with exit code, retryability and remedy) and the exceptions that carry them. The
documentation, the manifest check and the command line read the table; nothing here knows HTTP, schemas or a terminal.

    DriverError
    ├── ActionFailed     exit 1    the action ran and failed, and says how
    ├── InvalidInput     exit 3    the caller's input or manifest is wrong; nothing was sent
    ├── Refused          exit 4    one of the safety rules forbids it; nothing was sent
    ├── ServerProblem    exit 5    there is no OpenCode server that can be used
    ├── OutOfTime        exit 6    the deadline passed; what ran was stopped
    ├── Waiting          exit 7    the agent asks for a permission or an answer
    └── Interrupted      exit 130  the caller cancelled; what ran was stopped

The Python API has a class for each code below these (``netclaw_opencode.api.exceptions``); while it is loaded, an error that is
raised with a code is of the code's own class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_WAITING = 7
"""A permission or a question is in the way: of a turn that was ended for it, and of one that waits for the answer."""


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One row of the table of error codes; ``code`` is stable across releases."""

    code: str
    exit_code: int
    retryable: bool
    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What was seen while work was stopped.

    Attributes:
        confirmed: Whether the work was seen stopped.
        attempts: Rounds of abort and look.
        was: The session's state before, if it was seen.
        active: Sessions last seen running, if the stop is not confirmed.
        problem: What kept the stop from being confirmed.
    """

    confirmed: bool
    attempts: int = 0
    was: str | None = None
    active: tuple[str, ...] = ()
    problem: str | None = None

    @classmethod
    def from_wire(cls, wire: object) -> Stop | None:
        """Read ``stopped`` of an error's details, or the facts of a ``stopping`` event; None if it is neither."""
        if not isinstance(wire, Mapping) or "confirmed" not in wire:
            return None
        attempts, was, active, problem = (wire.get(name) for name in ("attempts", "was", "active", "problem"))
        return cls(
            confirmed=wire["confirmed"] is True,
            attempts=attempts if isinstance(attempts, int) else 0,
            was=was if isinstance(was, str) else None,
            active=tuple(map(str, active)) if isinstance(active, list | tuple) else (),
            problem=problem if isinstance(problem, str) else None,
        )


class DriverError(Exception):
    """Base of everything that this package raises on purpose.

    Attributes:
        code: The stable code of the cause.
        message: What happened, in one sentence.
        rule: The safety rule that decided it, if one did.
        next: A literal command or call that helps.
        details: Evidence (JSON values only, never a secret).
    """

    exit_code = EXIT_FAILED
    code: str
    message: str
    rule: str | None
    next: str
    details: dict[str, object]

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            _CLASSES[code] = cls

    def __new__(cls, code: str, *_arguments: object, **_named: object) -> Self:
        # The class of the code, where it is loaded; __init__ refuses a code that is not of this class.
        kind = _CLASSES.get(code, cls)
        return super().__new__(kind if issubclass(kind, cls) else cls)

    def __init__(
        self,
        code: str,
        message: str,
        *,
        rule: str | None = None,
        next: str | None = None,  # noqa: A002 - the field's name in the envelope
        details: Mapping[str, object] | None = None,
    ) -> None:
        if CODES[code].exit_code != self.exit_code:
            raise ValueError(f"{code} is not a code of {type(self).__name__}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.rule = rule
        self.next = next if next is not None else CODES[code].remedy
        self.details = dict(details or {})

    def __reduce__(self) -> tuple[object, ...]:
        return _error_from, (self.code, self.message, self.rule, self.next, self.details)

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without a change by the caller."""
        return CODES[self.code].retryable

    @property
    def session_id(self) -> str | None:
        """The session that the error is about, if it is about one."""
        return self._text("session_id")

    @property
    def message_id(self) -> str | None:
        """The prompt's message, if one was sent."""
        return self._text("message_id")

    @property
    def partial_text(self) -> str | None:
        """What the agent had written before the turn ended, if anything was seen of it."""
        return self._text("partial_text")

    @property
    def stop(self) -> Stop | None:
        """What was seen while the turn was stopped; None if nothing was stopped, or nothing of it could be seen."""
        return Stop.from_wire(self.details.get("stopped"))

    def confirm_stop(self, *, by: str) -> None:
        """Say that the stop is proved after all; ``by`` is what proved it."""
        stopped = self.details.get("stopped")
        self.details["stopped"] = {**(stopped if isinstance(stopped, Mapping) else {}), "confirmed": True, "by": by}

    def _text(self, name: str) -> str | None:
        value = self.details.get(name)
        return value if isinstance(value, str) else None

    def to_wire(self) -> dict[str, object]:
        """The ``error`` object of the envelope (``schemas/result.schema.json``)."""
        wire: dict[str, object] = {"code": self.code, "message": self.message, "retryable": self.retryable}
        if self.rule is not None:
            wire["rule"] = self.rule
        wire["next"] = self.next
        if self.details:
            wire["details"] = self.details
        return wire


_CLASSES: dict[str, type[DriverError]] = {}
"""The class of each code, as far as they are loaded."""


class ActionFailed(DriverError):
    """The action ran and failed (exit code 1)."""

    exit_code = 1


class InvalidInput(DriverError):
    """The input or a manifest is wrong; nothing was sent (exit code 3)."""

    exit_code = 3


class Refused(DriverError):
    """A safety rule forbids the call; nothing was sent (exit code 4)."""

    exit_code = 4


class ServerProblem(DriverError):
    """No OpenCode server can be used (exit code 5)."""

    exit_code = 5


class OutOfTime(DriverError):
    """A deadline passed (exit code 6)."""

    exit_code = 6


class Waiting(DriverError):
    """The agent waits for a permission or an answer (exit code 7)."""

    exit_code = 7


class Interrupted(DriverError):
    """The caller cancelled the call (exit code 130)."""

    exit_code = 130


def error_of(
    code: str,
    message: str,
    *,
    rule: str | None = None,
    next: str | None = None,  # noqa: A002 - the field's name in the envelope
    details: Mapping[str, object] | None = None,
) -> DriverError:
    """The exception that fits a code that is only known at run time (a verdict, an envelope read back)."""
    kind = _BY_EXIT[CODES[code].exit_code]
    return kind(code, message, rule=rule, next=next, details=details)


def _error_from(code: str, message: str, rule: str | None, following: str, details: Mapping[str, object]) -> DriverError:
    """The error that was pickled."""
    return error_of(code, message, rule=rule, next=following, details=details)


_BY_EXIT: Mapping[int, type[DriverError]] = {
    kind.exit_code: kind for kind in (ActionFailed, InvalidInput, Refused, ServerProblem, OutOfTime, Waiting, Interrupted)
}

_ROWS = (
    # invalid input: nothing was sent
    ErrorCode("invalid_input", 3, False, "An input is missing, unknown or out of range.", "Correct the named field and call again."),
    ErrorCode("invalid_url", 3, False, "OPENCODE_API_URL is not a usable base URL.", "Set it to a form such as http://localhost:4096."),
    ErrorCode("invalid_manifest", 3, False, "A skill.yaml or one of its schemas is wrong.", "Fix every problem listed under details.problems."),
    ErrorCode("invalid_policy", 3, False, "The policy file cannot be read or is wrong; no prompt was sent.", "Fix every problem listed under details.problems."),
    ErrorCode("extra_missing", 3, False, "A part of this package that is installed on request is missing.", "pip install 'netclaw-opencode[batch]'"),
    ErrorCode("unknown_action", 3, False, "There is no action of that name.", "netclaw-opencode actions"),
    ErrorCode("name_clash", 3, False, "Two plugins register the same name.", "Leave one of them out (the host's not-these switch)."),
    ErrorCode("model_not_found", 3, False, "The server does not know that provider or model; it was not asked to run it.", "netclaw-opencode inspect list-providers"),
    ErrorCode("agent_not_found", 3, False, "The server does not know that agent.", "Use an agent named in the message, or leave the field out."),
    ErrorCode("model_without_price", 3, False, "The server knows no price of the model, so a cap in dollars cannot hold.", "Leave max_cost_usd out and set max_tokens or max_model_calls, or choose another model."),
    ErrorCode("thinking_unsupported", 3, False, "The model has no variants, so a thinking budget cannot be honoured.", "Choose a model with variants, or leave thinking out."),
    # refused by a rule: nothing was sent
    ErrorCode("insecure_url", 4, False, "Prompts, code and password would cross the network in clear text.", "Use https, or a server on this machine."),
    ErrorCode("session_busy", 4, True, "The session is running a turn.", "Wait for it (wait_for_session) or abort it (abort_session)."),
    ErrorCode("session_used", 4, False, "The session has prior activity; automation uses a fresh one.", "Create a session, or continue with context by parent_id."),
    ErrorCode("session_waiting", 4, True, "The session waits for a permission or an answer.", "Answer it (reply_permission, reply_question) or abort the session."),
    ErrorCode("session_locked", 4, True, "Another process is sending to this session right now.", "Wait for it, or use a session of your own."),
    ErrorCode("idempotency_conflict", 4, False, "The idempotency key was used before, for another request.", "Use a key of its own for each request."),
    ErrorCode("batch_changed", 4, False, "The input is not what the batch of that name holds; nothing was added.", "Submit it with add, or under a name of its own."),
    ErrorCode("not_ours", 4, False, "The session or server was not started by this skill.", "Name it on purpose (include_foreign), or leave it to its owner."),
    ErrorCode("untrusted_project", 4, False, "OpenCode would run code of that folder which the user has not trusted; nothing was opened.", "Look at the files in details, then: netclaw-opencode server trust DIR"),
    ErrorCode("caps_need_waiting", 4, False, "The policy caps what a task may spend, and nobody would follow this one.", "Use run_task or send_message, which follow it."),
    ErrorCode("plugin_missing", 4, False, "A plugin that must be in force is not loaded, so nothing is run, answered or started.", "Install or fix the plugin named in the message."),
    ErrorCode("vetoed", 4, False, "A plugin of the host vetoed the call.", "Read the reason; ask the operator of the host."),
    ErrorCode("work_busy", 4, True, "The isolated work is in use by another call.", "Wait for that call, or look at it: netclaw-opencode inspect list-work"),
    ErrorCode("statement_unsealed", 4, False, "The statement was made elsewhere or changed since; its command was not run.", "Look at its command, and run that yourself."),
    ErrorCode("work_dirty", 4, False, "The isolated work holds something that no result has told, so it was not removed.", "Look at its path; discard_work with force removes it all the same."),
    ErrorCode("kill_refused", 4, False, "The process could not be proved to be our server, so it was not signalled.", "Stop it by hand after a look at it."),
    # no usable server
    ErrorCode("binary_not_found", 5, False, "OpenCode is not installed, or not where it was looked for.", "netclaw-opencode server install-opencode"),
    ErrorCode("unsupported_version", 5, False, "The server's version is outside 1.18 <= v < 2.", "netclaw-opencode server install-opencode"),
    ErrorCode("install_failed", 5, True, "OpenCode could not be installed; what was there before is as it was.", "Read the message; it is npm's own text."),
    ErrorCode("vulnerable_version", 5, False, "The OpenCode version has a known vulnerability, so it is not started.", "netclaw-opencode server install-opencode"),
    ErrorCode("api_drift", 5, False, "The server's API is not the one that this skill rests on.", "netclaw-opencode server install-opencode"),
    ErrorCode("server_unreachable", 5, True, "Nothing answers at the server's address.", "netclaw-opencode server check-availability"),
    ErrorCode("server_not_ready", 5, True, "The server process runs but did not become ready in time.", "netclaw-opencode server recover"),
    ErrorCode("server_start_failed", 5, False, "The server process ended while starting.", "Read the log tail in details."),
    ErrorCode("server_died", 5, True, "The server ended while it was in use.", "netclaw-opencode server start-server"),
    ErrorCode("port_in_use", 5, False, "The asked port belongs to another program.", "Ask for another port, or for 0: any free one."),
    ErrorCode("auth_failed", 5, False, "The server refused the user name or password.", "Set OPENCODE_SERVER_PASSWORD (and OPENCODE_SERVER_USERNAME) to the server's own."),
    ErrorCode("unauthenticated_server", 5, False, "The server has no password: every program on the machine can use it.", "Restart it with OPENCODE_SERVER_PASSWORD set, or let start_server start one."),
    ErrorCode("not_opencode", 5, False, "Something answers at that address, but it is not OpenCode.", "Correct OPENCODE_API_URL."),
    ErrorCode("config_error", 5, False, "The server is up but its opencode.json is broken, so no session can run.", "Fix the file named in the message, then restart the server."),
    ErrorCode("database_unavailable", 5, True, "The database of batches cannot be used; nothing was lost.", "Start it, or correct OPENCODE_DRIVER_BATCH_URL."),
    ErrorCode("worker_failed", 5, True, "The worker of a batch ended; its tasks wait for another one.", "netclaw-opencode worker"),
    # the deadline passed
    ErrorCode("request_timeout", 6, True, "One request took longer than its limit.", "Try again; then check_availability."),
    ErrorCode("turn_timeout", 6, False, "The turn did not finish before its deadline and was stopped.", "Use send_message_async with wait_for_session, or raise deadline_seconds."),
    ErrorCode("call_timeout", 6, False, "The call outlasted OPENCODE_DRIVER_CALL_SECONDS and was cancelled; what it ran was asked to stop.", "Use send_message_async with wait_for_session for long work; see get_session_status for what is left."),
    # waiting
    ErrorCode("permission_required", 7, False, "The agent asked for a permission and nobody may grant it.", "Allow it by a policy file (see check_policy) or a plugin, or word the task so that it is not needed."),
    ErrorCode("question_pending", 7, False, "The agent asked a question and nobody answers.", "Put the answer into the prompt, or into a policy file (see check_policy)."),
    # the action ran and failed
    ErrorCode("session_not_found", 1, False, "The server has no session of that id.", "netclaw-opencode inspect list-sessions"),
    ErrorCode("batch_not_found", 1, False, "The database has no batch of that id or name.", "netclaw-opencode inspect list-batches"),
    ErrorCode("batch_halted", 1, False, "A batch reached one of its limits, or was cancelled, before all of its tasks had ended.", "Submit it again with another limit, or retry_batch."),
    ErrorCode("worker_lost", 1, False, "A task was begun several times, and each time its worker was lost.", "Look at the worker's log and at its memory, then retry_batch."),
    ErrorCode("request_not_found", 1, False, "The permission or question is no longer pending.", "netclaw-opencode inspect get-session-status"),
    ErrorCode("bad_response", 1, False, "The server's answer is not what its API promises.", "check_availability; is another program on that port?"),
    ErrorCode("response_too_large", 1, False, "The server's answer exceeds the size limit.", "Ask for less, or read it with another tool."),
    ErrorCode("connection_lost", 1, True, "The connection broke before the answer was complete.", "get_session_result says whether the turn ran."),
    ErrorCode("provider_unavailable", 1, False, "No model provider is connected.", "opencode auth login, or configure a provider in opencode.json."),
    ErrorCode("provider_auth", 1, False, "The model provider refused the credentials.", "opencode auth login; a retry does not help."),
    ErrorCode("provider_error", 1, False, "The model provider answered with an error.", "Read the message; it is the provider's own text."),
    ErrorCode("provider_retrying", 1, True, "The model provider keeps refusing (rate limit or outage); the endless retry was stopped.", "Try later, or another model."),
    ErrorCode("turn_aborted", 1, False, "The turn was aborted before it finished.", "Send again in a fresh session if it is still wanted."),
    ErrorCode("prompt_joined", 1, False, "Another caller's prompt joined the session before our turn was over.", "Read what was done of it (get_session_result), then send again in a fresh session."),
    ErrorCode("turn_incomplete", 1, False, "The turn ended without a complete answer to our message.", "Send again in a fresh session."),
    ErrorCode("empty_output", 1, True, "The model finished without any text, and no tool had done anything.", "Send again in a fresh session, or word the prompt differently."),
    ErrorCode("runaway_turn", 1, False, "The server called the model again and again without progress.", "Look at the provider: its stream is cut or not a model's."),
    ErrorCode("budget_exceeded", 1, False, "The task reached a cap on its cost, tokens or model calls, and was stopped; its work is kept.", "Look at what was done (details), then raise the cap or ask for less."),
    ErrorCode("check_failed", 1, False, "The check does not hold for what was done; the work is kept as it is.", "Read the end of its output in details.check; mend the work, or start a task that does."),
    ErrorCode("stalled", 1, True, "The task showed no new output, tool or step for too long, and was stopped; its work is kept.", "Look at what was done (details); raise max_idle_seconds for commands that are silent."),
    ErrorCode("interrupted", 1, True, "The server was restarted while the turn ran; the turn is lost.", "Send again in a fresh session."),
    ErrorCode("structured_output_failed", 1, True, "The model did not give an answer that fits output_schema.", "Simplify the schema, or try another model."),
    ErrorCode("context_overflow", 1, False, "The prompt and history exceed the model's context.", "Send less, or choose a model with a larger context."),
    ErrorCode("abort_unconfirmed", 1, True, "The abort was sent, but the session is not seen stopped.", "netclaw-opencode run abort-session"),
    ErrorCode("cleanup_incomplete", 1, True, "The work is done, but something of it could not be removed.", "netclaw-opencode run delete-session"),
    ErrorCode("report_failed", 1, False, "The file of a report cannot be written.", "Name another output."),
    ErrorCode("work_failed", 1, False, "Isolated work could not be prepared, committed or brought in; your folder is as it was.", "Read the message; it is git's or the system's own reason."),
    ErrorCode("work_conflict", 1, False, "The work and the folder have changed the same; nothing was written.", "Look at the conflicts in details, mend them in the work's path, then apply_work."),
    ErrorCode("work_not_found", 1, False, "There is no such isolated work, or its files are gone.", "netclaw-opencode inspect list-work"),
    ErrorCode("kill_failed", 1, False, "Our server process did not end, even when killed.", "Look at the pid in details."),
    ErrorCode("state_corrupt", 1, False, "The state file cannot be read or is not safe to trust.", "Remove the file named in the message."),
    ErrorCode("internal_error", 1, False, "A defect of this package.", "Please report it with the message."),
    ErrorCode("cancelled", 130, False, "The caller cancelled; what ran was stopped.", "Call again."),
)  # fmt: skip

CODES: Mapping[str, ErrorCode] = MappingProxyType({row.code: row for row in _ROWS})

__all__ = [
    "CODES",
    "ActionFailed",
    "DriverError",
    "ErrorCode",
    "Interrupted",
    "InvalidInput",
    "OutOfTime",
    "Refused",
    "ServerProblem",
    "Stop",
    "Waiting",
    "error_of",
]
