# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The exceptions by cause: one class for each error code.

An error that the driver raises is of the class of its code once this module is imported, which ``OpenCode`` does.
"""

from __future__ import annotations

from netclaw_opencode.errors import ActionFailed, DriverError, Interrupted, InvalidInput, OutOfTime, Refused, ServerProblem, Waiting

OpenCodeError = DriverError


class ActionError(ActionFailed):
    """The action ran and failed, and says how."""


class InvalidInputError(InvalidInput):
    """The caller's input or a manifest is wrong; nothing was sent."""


class RefusedError(Refused):
    """A safety rule forbids the call; nothing was sent."""


class ServerError(ServerProblem):
    """There is no OpenCode server that can be used."""


class DeadlineError(OutOfTime):
    """A deadline passed; what ran was stopped."""


class WaitingError(Waiting):
    """The agent asks for a permission or an answer, and nobody gives it."""


class ProviderError(ActionError):
    """The model provider does not do its part."""


class TurnError(ActionError):
    """The turn ended without a result that can be used."""


class InvalidArgumentError(InvalidInputError, code="invalid_input"):
    """An input is missing, unknown or out of range.

    What helps: Correct the named field and call again.
    """


class InvalidUrlError(InvalidInputError, code="invalid_url"):
    """OPENCODE_API_URL is not a usable base URL.

    What helps: Set it to a form such as http://localhost:4096.
    """


class InvalidManifestError(InvalidInputError, code="invalid_manifest"):
    """A skill.yaml or one of its schemas is wrong.

    What helps: Fix every problem listed under details.problems.
    """


class InvalidPolicyError(InvalidInputError, code="invalid_policy"):
    """The policy file cannot be read or is wrong; no prompt was sent.

    What helps: Fix every problem listed under details.problems.
    """


class ExtraMissingError(InvalidInputError, code="extra_missing"):
    """A part of this package that is installed on request is missing.

    What helps: pip install 'netclaw-opencode[batch]'
    """


class UnknownActionError(InvalidInputError, code="unknown_action"):
    """There is no action of that name.

    What helps: netclaw-opencode actions
    """


class NameClashError(InvalidInputError, code="name_clash"):
    """Two plugins register the same name.

    What helps: Leave one of them out (the host's not-these switch).
    """


class ModelNotFoundError(InvalidInputError, code="model_not_found"):
    """The server does not know that provider or model; it was not asked to run it.

    What helps: netclaw-opencode inspect list-providers
    """


class AgentNotFoundError(InvalidInputError, code="agent_not_found"):
    """The server does not know that agent.

    What helps: Use an agent named in the message, or leave the field out.
    """


class ModelWithoutPriceError(InvalidInputError, code="model_without_price"):
    """The server knows no price of the model, so a cap in dollars cannot hold.

    What helps: Leave max_cost_usd out and set max_tokens or max_model_calls, or choose another model.
    """


class ThinkingUnsupportedError(InvalidInputError, code="thinking_unsupported"):
    """The model has no variants, so a thinking budget cannot be honoured.

    What helps: Choose a model with variants, or leave thinking out.
    """


class InsecureUrlError(RefusedError, code="insecure_url"):
    """Prompts, code and password would cross the network in clear text.

    What helps: Use https, or a server on this machine.
    """


class SessionBusyError(RefusedError, code="session_busy"):
    """The session is running a turn.

    What helps: Wait for it (wait_for_session) or abort it (abort_session).
    """


class SessionUsedError(RefusedError, code="session_used"):
    """The session has prior activity; automation uses a fresh one.

    What helps: Create a session, or continue with context by parent_id.
    """


class SessionWaitingError(RefusedError, code="session_waiting"):
    """The session waits for a permission or an answer.

    What helps: Answer it (reply_permission, reply_question) or abort the session.
    """


class SessionLockedError(RefusedError, code="session_locked"):
    """Another process is sending to this session right now.

    What helps: Wait for it, or use a session of your own.
    """


class IdempotencyConflictError(RefusedError, code="idempotency_conflict"):
    """The idempotency key was used before, for another request.

    What helps: Use a key of its own for each request.
    """


class BatchChangedError(RefusedError, code="batch_changed"):
    """The input is not what the batch of that name holds; nothing was added.

    What helps: Submit it with add, or under a name of its own.
    """


class NotOursError(RefusedError, code="not_ours"):
    """The session or server was not started by this skill.

    What helps: Name it on purpose (include_foreign), or leave it to its owner.
    """


class UntrustedProjectError(RefusedError, code="untrusted_project"):
    """OpenCode would run code of that folder which the user has not trusted; nothing was opened.

    What helps: Look at the files in details, then: netclaw-opencode server trust DIR
    """


class CapsNeedWaitingError(RefusedError, code="caps_need_waiting"):
    """The policy caps what a task may spend, and nobody would follow this one.

    What helps: Use run_task or send_message, which follow it.
    """


class PluginMissingError(RefusedError, code="plugin_missing"):
    """A plugin that must be in force is not loaded, so nothing is run, answered or started.

    What helps: Install or fix the plugin named in the message.
    """


class VetoedError(RefusedError, code="vetoed"):
    """A plugin of the host vetoed the call.

    What helps: Read the reason; ask the operator of the host.
    """


class WorkBusyError(RefusedError, code="work_busy"):
    """The isolated work is in use by another call.

    What helps: Wait for that call, or look at it: netclaw-opencode inspect list-work
    """


class StatementUnsealedError(RefusedError, code="statement_unsealed"):
    """The statement was made elsewhere or changed since; its command was not run.

    What helps: Look at its command, and run that yourself.
    """


class WorkDirtyError(RefusedError, code="work_dirty"):
    """The isolated work holds something that no result has told, so it was not removed.

    What helps: Look at its path; discard_work with force removes it all the same.
    """


class KillRefusedError(RefusedError, code="kill_refused"):
    """The process could not be proved to be our server, so it was not signalled.

    What helps: Stop it by hand after a look at it.
    """


class BinaryNotFoundError(ServerError, code="binary_not_found"):
    """OpenCode is not installed, or not where it was looked for.

    What helps: netclaw-opencode server install-opencode
    """


class UnsupportedVersionError(ServerError, code="unsupported_version"):
    """The server's version is outside 1.18 <= v < 2.

    What helps: netclaw-opencode server install-opencode
    """


class InstallFailedError(ServerError, code="install_failed"):
    """OpenCode could not be installed; what was there before is as it was.

    What helps: Read the message; it is npm's own text.
    """


class VulnerableVersionError(ServerError, code="vulnerable_version"):
    """The OpenCode version has a known vulnerability, so it is not started.

    What helps: netclaw-opencode server install-opencode
    """


class ApiDriftError(ServerError, code="api_drift"):
    """The server's API is not the one that this skill rests on.

    What helps: netclaw-opencode server install-opencode
    """


class ServerUnreachableError(ServerError, code="server_unreachable"):
    """Nothing answers at the server's address.

    What helps: netclaw-opencode server check-availability
    """


class ServerNotReadyError(ServerError, code="server_not_ready"):
    """The server process runs but did not become ready in time.

    What helps: netclaw-opencode server recover
    """


class ServerStartFailedError(ServerError, code="server_start_failed"):
    """The server process ended while starting.

    What helps: Read the log tail in details.
    """


class ServerDiedError(ServerError, code="server_died"):
    """The server ended while it was in use.

    What helps: netclaw-opencode server start-server
    """


class PortInUseError(ServerError, code="port_in_use"):
    """The asked port belongs to another program.

    What helps: Ask for another port, or for 0: any free one.
    """


class AuthFailedError(ServerError, code="auth_failed"):
    """The server refused the user name or password.

    What helps: Set OPENCODE_SERVER_PASSWORD (and OPENCODE_SERVER_USERNAME) to the server's own.
    """


class UnauthenticatedServerError(ServerError, code="unauthenticated_server"):
    """The server has no password: every program on the machine can use it.

    What helps: Restart it with OPENCODE_SERVER_PASSWORD set, or let start_server start one.
    """


class NotOpenCodeError(ServerError, code="not_opencode"):
    """Something answers at that address, but it is not OpenCode.

    What helps: Correct OPENCODE_API_URL.
    """


class ConfigError(ServerError, code="config_error"):
    """The server is up but its opencode.json is broken, so no session can run.

    What helps: Fix the file named in the message, then restart the server.
    """


class DatabaseUnavailableError(ServerError, code="database_unavailable"):
    """The database of batches cannot be used; nothing was lost.

    What helps: Start it, or correct OPENCODE_DRIVER_BATCH_URL.
    """


class WorkerFailedError(ServerError, code="worker_failed"):
    """The worker of a batch ended; its tasks wait for another one.

    What helps: netclaw-opencode worker
    """


class RequestTimeoutError(DeadlineError, code="request_timeout"):
    """One request took longer than its limit.

    What helps: Try again; then check_availability.
    """


class TurnTimeoutError(DeadlineError, code="turn_timeout"):
    """The turn did not finish before its deadline and was stopped.

    What helps: Use send_message_async with wait_for_session, or raise deadline_seconds.
    """


class CallTimeoutError(DeadlineError, code="call_timeout"):
    """The call outlasted OPENCODE_DRIVER_CALL_SECONDS and was cancelled; what it ran was asked to stop.

    What helps: Use send_message_async with wait_for_session for long work; see get_session_status for what is left.
    """


class PermissionRequiredError(WaitingError, code="permission_required"):
    """The agent asked for a permission and nobody may grant it.

    What helps: Allow it by a policy file (see check_policy) or a plugin, or word the task so that it is not needed.
    """


class QuestionPendingError(WaitingError, code="question_pending"):
    """The agent asked a question and nobody answers.

    What helps: Put the answer into the prompt, or into a policy file (see check_policy).
    """


class SessionNotFoundError(ActionError, code="session_not_found"):
    """The server has no session of that id.

    What helps: netclaw-opencode inspect list-sessions
    """


class BatchNotFoundError(ActionError, code="batch_not_found"):
    """The database has no batch of that id or name.

    What helps: netclaw-opencode inspect list-batches
    """


class BatchHaltedError(ActionError, code="batch_halted"):
    """A batch reached one of its limits, or was cancelled, before all of its tasks had ended.

    What helps: Submit it again with another limit, or retry_batch.
    """


class WorkerLostError(ActionError, code="worker_lost"):
    """A task was begun several times, and each time its worker was lost.

    What helps: Look at the worker's log and at its memory, then retry_batch.
    """


class RequestNotFoundError(ActionError, code="request_not_found"):
    """The permission or question is no longer pending.

    What helps: netclaw-opencode inspect get-session-status
    """


class BadResponseError(ActionError, code="bad_response"):
    """The server's answer is not what its API promises.

    What helps: check_availability; is another program on that port?
    """


class ResponseTooLargeError(ActionError, code="response_too_large"):
    """The server's answer exceeds the size limit.

    What helps: Ask for less, or read it with another tool.
    """


class ConnectionLostError(ActionError, code="connection_lost"):
    """The connection broke before the answer was complete.

    What helps: get_session_result says whether the turn ran.
    """


class ProviderUnavailableError(ProviderError, code="provider_unavailable"):
    """No model provider is connected.

    What helps: opencode auth login, or configure a provider in opencode.json.
    """


class ProviderAuthError(ProviderError, code="provider_auth"):
    """The model provider refused the credentials.

    What helps: opencode auth login; a retry does not help.
    """


class ProviderResponseError(ProviderError, code="provider_error"):
    """The model provider answered with an error.

    What helps: Read the message; it is the provider's own text.
    """


class ProviderRetryingError(ProviderError, code="provider_retrying"):
    """The model provider keeps refusing (rate limit or outage); the endless retry was stopped.

    What helps: Try later, or another model.
    """


class TurnAbortedError(TurnError, code="turn_aborted"):
    """The turn was aborted before it finished.

    What helps: Send again in a fresh session if it is still wanted.
    """


class PromptJoinedError(ActionError, code="prompt_joined"):
    """Another caller's prompt joined the session before our turn was over.

    What helps: Read what was done of it (get_session_result), then send again in a fresh session.
    """


class TurnIncompleteError(TurnError, code="turn_incomplete"):
    """The turn ended without a complete answer to our message.

    What helps: Send again in a fresh session.
    """


class EmptyOutputError(TurnError, code="empty_output"):
    """The model finished without any text, and no tool had done anything.

    What helps: Send again in a fresh session, or word the prompt differently.
    """


class RunawayTurnError(TurnError, code="runaway_turn"):
    """The server called the model again and again without progress.

    What helps: Look at the provider: its stream is cut or not a model's.
    """


class BudgetExceededError(ActionError, code="budget_exceeded"):
    """The task reached a cap on its cost, tokens or model calls, and was stopped; its work is kept.

    What helps: Look at what was done (details), then raise the cap or ask for less.
    """


class CheckFailedError(ActionError, code="check_failed"):
    """The check does not hold for what was done; the work is kept as it is.

    What helps: Read the end of its output in details.check; mend the work, or start a task that does.
    """


class StalledError(ActionError, code="stalled"):
    """The task showed no new output, tool or step for too long, and was stopped; its work is kept.

    What helps: Look at what was done (details); raise max_idle_seconds for commands that are silent.
    """


class TurnInterruptedError(TurnError, code="interrupted"):
    """The server was restarted while the turn ran; the turn is lost.

    What helps: Send again in a fresh session.
    """


class StructuredOutputFailedError(TurnError, code="structured_output_failed"):
    """The model did not give an answer that fits output_schema.

    What helps: Simplify the schema, or try another model.
    """


class ContextOverflowError(TurnError, code="context_overflow"):
    """The prompt and history exceed the model's context.

    What helps: Send less, or choose a model with a larger context.
    """


class AbortUnconfirmedError(ActionError, code="abort_unconfirmed"):
    """The abort was sent, but the session is not seen stopped.

    What helps: netclaw-opencode run abort-session
    """


class CleanupIncompleteError(ActionError, code="cleanup_incomplete"):
    """The work is done, but something of it could not be removed.

    What helps: netclaw-opencode run delete-session
    """


class ReportFailedError(ActionError, code="report_failed"):
    """The file of a report cannot be written.

    What helps: Name another output.
    """


class WorkFailedError(ActionError, code="work_failed"):
    """Isolated work could not be prepared, committed or brought in; your folder is as it was.

    What helps: Read the message; it is git's or the system's own reason.
    """


class WorkConflictError(ActionError, code="work_conflict"):
    """The work and the folder have changed the same; nothing was written.

    What helps: Look at the conflicts in details, mend them in the work's path, then apply_work.
    """


class WorkNotFoundError(ActionError, code="work_not_found"):
    """There is no such isolated work, or its files are gone.

    What helps: netclaw-opencode inspect list-work
    """


class KillFailedError(ActionError, code="kill_failed"):
    """Our server process did not end, even when killed.

    What helps: Look at the pid in details.
    """


class StateCorruptError(ActionError, code="state_corrupt"):
    """The state file cannot be read or is not safe to trust.

    What helps: Remove the file named in the message.
    """


class InternalError(ActionError, code="internal_error"):
    """A defect of this package.

    What helps: Please report it with the message.
    """


class CallCancelledError(Interrupted, code="cancelled"):
    """The caller cancelled; what ran was stopped.

    What helps: Call again.
    """


__all__ = [
    "AbortUnconfirmedError",
    "ActionError",
    "AgentNotFoundError",
    "ApiDriftError",
    "AuthFailedError",
    "BadResponseError",
    "BatchChangedError",
    "BatchHaltedError",
    "BatchNotFoundError",
    "BinaryNotFoundError",
    "BudgetExceededError",
    "CallCancelledError",
    "CallTimeoutError",
    "CapsNeedWaitingError",
    "CheckFailedError",
    "CleanupIncompleteError",
    "ConfigError",
    "ConnectionLostError",
    "ContextOverflowError",
    "DatabaseUnavailableError",
    "DeadlineError",
    "EmptyOutputError",
    "ExtraMissingError",
    "IdempotencyConflictError",
    "InsecureUrlError",
    "InstallFailedError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidInputError",
    "InvalidManifestError",
    "InvalidPolicyError",
    "InvalidUrlError",
    "KillFailedError",
    "KillRefusedError",
    "ModelNotFoundError",
    "ModelWithoutPriceError",
    "NameClashError",
    "NotOpenCodeError",
    "NotOursError",
    "OpenCodeError",
    "PermissionRequiredError",
    "PluginMissingError",
    "PortInUseError",
    "PromptJoinedError",
    "ProviderAuthError",
    "ProviderError",
    "ProviderResponseError",
    "ProviderRetryingError",
    "ProviderUnavailableError",
    "QuestionPendingError",
    "RefusedError",
    "ReportFailedError",
    "RequestNotFoundError",
    "RequestTimeoutError",
    "ResponseTooLargeError",
    "RunawayTurnError",
    "ServerDiedError",
    "ServerError",
    "ServerNotReadyError",
    "ServerStartFailedError",
    "ServerUnreachableError",
    "SessionBusyError",
    "SessionLockedError",
    "SessionNotFoundError",
    "SessionUsedError",
    "SessionWaitingError",
    "StalledError",
    "StateCorruptError",
    "StatementUnsealedError",
    "StructuredOutputFailedError",
    "ThinkingUnsupportedError",
    "TurnAbortedError",
    "TurnError",
    "TurnIncompleteError",
    "TurnInterruptedError",
    "TurnTimeoutError",
    "UnauthenticatedServerError",
    "UnknownActionError",
    "UnsupportedVersionError",
    "UntrustedProjectError",
    "VetoedError",
    "VulnerableVersionError",
    "WaitingError",
    "WorkBusyError",
    "WorkConflictError",
    "WorkDirtyError",
    "WorkFailedError",
    "WorkNotFoundError",
    "WorkerFailedError",
    "WorkerLostError",
]
