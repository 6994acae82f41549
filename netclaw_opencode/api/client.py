# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""``OpenCode``: a typed method for each action, for a program without an event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from netclaw_opencode.api import _arguments as arguments
from netclaw_opencode.api import results
from netclaw_opencode.api._calls import Request
from netclaw_opencode.api._clients import SyncClient
from netclaw_opencode.api.batches import BatchRun
from netclaw_opencode.api.inputs import Check, Thinking
from netclaw_opencode.api.streams import TaskStream
from netclaw_opencode.api.types import Model, OnPermission, OnQuestion, Path, Seconds

T = TypeVar("T")


class OpenCode(SyncClient):
    """The skill for a program without an event loop; any number of threads may call.

    ``with OpenCode() as oc: result = oc.run_task("…", directory="…"); print(result.text)``

    Only our own skill is there, unless ``plugins`` (objects by name), ``directories`` or ``entry_points=True`` say otherwise; their
    actions are called by name (``call``). A method that fails raises a ``DriverError``, of a class for its cause.
    """

    def check_availability(
        self, *, directory: Path | None = None, start: bool = True, deadline: Seconds = 45
    ) -> results.CheckAvailabilityResult:
        """Say whether coding tasks can run now, and what is missing if not.

        Call this first. It looks at the opencode program, the server (reachable, healthy and able to serve a session),
        the connected model providers, the default model and whether the server's own API description is what this skill
        rests on (api), and starts a server when that alone is missing. Returns a report; if a task could not run, the
        call is an error whose code is that of the first problem and whose details hold the report, with a remedy for
        each problem. Warnings do not make it fail.

        Args:
            directory: Path of the directory for which a session route is tried. Left out: the skill's default
                directory.
            start: Start a server of our own where a running server is the only thing that is missing.
            deadline: Total time for the check, a start included, in seconds. Or a ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: BinaryNotFoundError, VulnerableVersionError, ApiDriftError,
                ServerStartFailedError, ServerNotReadyError, PortInUseError, ProviderUnavailableError.
        """
        request = Request(
            "check_availability",
            arguments.given(
                {"directory": arguments.path(directory), "start": start, "deadline_seconds": arguments.seconds(deadline)},
                {"start": True, "deadline_seconds": 45},
            ),
            results.CheckAvailabilityResult,
        )
        return self._perform(request)

    def create_session(
        self,
        *,
        title: str | None = None,
        directory: Path | None = None,
        agent: str | None = None,
        model: Model | None = None,
        parent_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> results.CreateSessionResult:
        """Create a fresh session, or a fork that continues an earlier one.

        A session serves one task: create one, send to it once, read the result, delete it. run_task does all of this in
        one call. With parent_id the earlier session is forked, so that the new one knows its history; the earlier one
        stays as it is and is never sent to again. Returns the session with its session_id. Unknown models and agents
        are refused, with near names.

        Args:
            title: The session's title, one line of 1 to 200 characters. Left out: a title of the skill's own.
            directory: Path of the existing directory in which the agent works. Left out: the skill's default directory
                (OPENCODE_DRIVER_DIRECTORY, else the caller's working directory).
            agent: Name of the OpenCode agent for the session. Left out: the server's default agent.
            model: The session's model, as "provider/model" text or as an object {providerID, modelID}. Left out: the
                default of the skill, then of the server.
            parent_id: Continue with the context of this session: it is forked, so its history is copied into the new
                session and it is itself never sent to again.
            idempotency_key: A name of your choice for this very request. The same key, from any process, returns what
                it started before instead of starting it a second time; another request under the same key is refused.
                One line, up to 200 characters.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, ModelNotFoundError, AgentNotFoundError.
        """
        request = Request(
            "create_session",
            arguments.given(
                {
                    "title": title,
                    "directory": arguments.path(directory),
                    "agent": agent,
                    "model": arguments.model(model),
                    "parent_id": parent_id,
                    "idempotency_key": idempotency_key,
                },
                {},
            ),
            results.CreateSessionResult,
        )
        return self._perform(request)

    @overload
    def send_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: type[T],
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.SendMessageResult[T]: ...
    @overload
    def send_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | None = None,
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.SendMessageResult[Any]: ...
    def send_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | type[Any] | None = None,
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.SendMessageResult[Any]:
        """Send one prompt to a fresh session and wait for the answer (60 s at most).

        For short tasks. The session must be fresh and idle: a used, busy or waiting one is refused. Returns the
        answer's text, structured data where output_schema was given, the files changed with their diff, tools, usage
        and evidence. When the deadline passes, the turn is aborted, the abort verified, and the call is the error
        turn_timeout; for longer work use send_message_async with wait_for_session, or run_task. Do not repeat a failed
        send without reading its code: the agent may have changed files already.

        Args:
            session_id: The session to send to: fresh, idle and not used before, as create_session returns it.
            prompt: The task for the agent, in full: it knows nothing of earlier calls. In characters: 1 to 1048576.
            model: The model for this turn, as "provider/model" text or as an object {providerID, modelID};
                list_providers names them. Left out: the default of the skill, then of the server.
            agent: Name of the OpenCode agent that runs the turn, such as build (changes files) or plan (reads only).
                Left out: the server's default agent.
            system: Further instructions put before the prompt for this turn only. In characters: 1 to 1048576.
            thinking: Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the
                result says which; a model without variants is refused.
            output_schema: A JSON Schema (an object) that the answer must fit; the answer is then returned as data under
                structured, beside the text. Or the type of the data: a dataclass, a TypedDict or a pydantic model.
            reuse_session: Insist on a session with prior activity. It is then aborted and seen idle before the send; a
                fork by parent_id is nearly always better.
            deadline: Total time for the turn, in seconds; then it is aborted and the abort verified. For more than 60
                use send_message_async. Or a ``timedelta``.
            retry_budget: How long the model provider may keep refusing, in seconds. Then the turn is stopped with
                provider_retrying (rate limit, outage). Without it, until the deadline; a provider that asks for a wait
                beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then the turn is stopped
                with provider_retrying. Without it, as often as the time allows; 0 ends the turn at the first refusal.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.

        Raises:
            DriverError: How it failed; causes of its own: InvalidPolicyError, SessionNotFoundError, SessionBusyError,
                SessionUsedError, SessionWaitingError, SessionLockedError, ModelNotFoundError, AgentNotFoundError,
                ThinkingUnsupportedError, ProviderAuthError, ProviderUnavailableError, ProviderResponseError,
                ProviderRetryingError, TurnTimeoutError, TurnAbortedError, TurnIncompleteError, PromptJoinedError,
                EmptyOutputError, RunawayTurnError, TurnInterruptedError, StructuredOutputFailedError,
                ContextOverflowError, PermissionRequiredError, QuestionPendingError, ModelWithoutPriceError,
                BudgetExceededError, StalledError, AbortUnconfirmedError.
        """
        request = Request(
            "send_message",
            arguments.given(
                {
                    "session_id": session_id,
                    "prompt": prompt,
                    "model": arguments.model(model),
                    "agent": agent,
                    "system": system,
                    "thinking": arguments.plain(thinking),
                    "output_schema": arguments.schema(output_schema),
                    "reuse_session": reuse_session,
                    "deadline_seconds": arguments.seconds(deadline),
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "on_request": on_request,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                },
                {"reuse_session": False, "deadline_seconds": 60},
            ),
            results.SendMessageResult,
            structured=arguments.answer_type(output_schema),
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._perform(request)

    @overload
    def stream_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: type[T],
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.SendMessageResult[T]]: ...
    @overload
    def stream_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | None = None,
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.SendMessageResult[Any]]: ...
    def stream_message(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | type[Any] | None = None,
        reuse_session: bool = False,
        deadline: Seconds = 60,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.SendMessageResult[Any]]:
        """Follow send_message while it runs: send one prompt to a fresh session and wait for the answer (60 s at most).

        For short tasks. The session must be fresh and idle: a used, busy or waiting one is refused. Returns the
        answer's text, structured data where output_schema was given, the files changed with their diff, tools, usage
        and evidence. When the deadline passes, the turn is aborted, the abort verified, and the call is the error
        turn_timeout; for longer work use send_message_async with wait_for_session, or run_task. Do not repeat a failed
        send without reading its code: the agent may have changed files already.

        Use it as a block: ``with … as task``. Leaving the block early stops the task, verified.

        Args:
            session_id: The session to send to: fresh, idle and not used before, as create_session returns it.
            prompt: The task for the agent, in full: it knows nothing of earlier calls. In characters: 1 to 1048576.
            model: The model for this turn, as "provider/model" text or as an object {providerID, modelID};
                list_providers names them. Left out: the default of the skill, then of the server.
            agent: Name of the OpenCode agent that runs the turn, such as build (changes files) or plan (reads only).
                Left out: the server's default agent.
            system: Further instructions put before the prompt for this turn only. In characters: 1 to 1048576.
            thinking: Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the
                result says which; a model without variants is refused.
            output_schema: A JSON Schema (an object) that the answer must fit; the answer is then returned as data under
                structured, beside the text. Or the type of the data: a dataclass, a TypedDict or a pydantic model.
            reuse_session: Insist on a session with prior activity. It is then aborted and seen idle before the send; a
                fork by parent_id is nearly always better.
            deadline: Total time for the turn, in seconds; then it is aborted and the abort verified. For more than 60
                use send_message_async. Or a ``timedelta``.
            retry_budget: How long the model provider may keep refusing, in seconds. Then the turn is stopped with
                provider_retrying (rate limit, outage). Without it, until the deadline; a provider that asks for a wait
                beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then the turn is stopped
                with provider_retrying. Without it, as often as the time allows; 0 ends the turn at the first refusal.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.
        """
        request = Request(
            "send_message",
            arguments.given(
                {
                    "session_id": session_id,
                    "prompt": prompt,
                    "model": arguments.model(model),
                    "agent": agent,
                    "system": system,
                    "thinking": arguments.plain(thinking),
                    "output_schema": arguments.schema(output_schema),
                    "reuse_session": reuse_session,
                    "deadline_seconds": arguments.seconds(deadline),
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "on_request": on_request,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                },
                {"reuse_session": False, "deadline_seconds": 60},
            ),
            results.SendMessageResult,
            structured=arguments.answer_type(output_schema),
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._stream(request)

    def send_message_async(
        self,
        session_id: str,
        prompt: str,
        *,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | type[Any] | None = None,
        reuse_session: bool = False,
        deadline: Seconds = 3600,
        idempotency_key: str | None = None,
    ) -> results.SendMessageAsyncResult:
        """Send one prompt to a fresh session and return at once.

        For work of minutes, and for several tasks at a time. Returns as soon as the server has taken the prompt, with
        the message_id and the literal command that waits for the result. The task runs in the server, whatever becomes
        of the caller; its own deadline (deadline_seconds) is kept by whoever waits for it. Follow it with
        wait_for_session; read the result later with get_session_result. The same refusals as send_message.

        Args:
            session_id: The session to send to: fresh, idle and not used before, as create_session returns it.
            prompt: The task for the agent, in full: it knows nothing of earlier calls. In characters: 1 to 1048576.
            model: The model for this turn, as "provider/model" text or as an object {providerID, modelID};
                list_providers names them. Left out: the default of the skill, then of the server.
            agent: Name of the OpenCode agent that runs the turn, such as build (changes files) or plan (reads only).
                Left out: the server's default agent.
            system: Further instructions put before the prompt for this turn only. In characters: 1 to 1048576.
            thinking: Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the
                result says which; a model without variants is refused.
            output_schema: A JSON Schema (an object) that the answer must fit; the answer is then returned as data under
                structured, beside the text. Or the type of the data: a dataclass, a TypedDict or a pydantic model.
            reuse_session: Insist on a session with prior activity. It is then aborted and seen idle before the send; a
                fork by parent_id is nearly always better.
            deadline: The task's own deadline, in seconds from now. Past it, waiting for it is an error (turn_timeout),
                and the next cleanup stops it. Or a ``timedelta``.
            idempotency_key: A name of your choice for this very request. The same key, from any process, returns what
                it started before instead of starting it a second time; another request under the same key is refused.
                One line, up to 200 characters.

        Raises:
            DriverError: How it failed; causes of its own: CapsNeedWaitingError, InvalidPolicyError,
                IdempotencyConflictError, SessionNotFoundError, SessionBusyError, SessionUsedError, SessionWaitingError,
                SessionLockedError, ModelNotFoundError, AgentNotFoundError, ThinkingUnsupportedError, ProviderAuthError,
                ProviderUnavailableError, ProviderResponseError, ProviderRetryingError, TurnAbortedError,
                TurnIncompleteError, PromptJoinedError, AbortUnconfirmedError.
        """
        request = Request(
            "send_message_async",
            arguments.given(
                {
                    "session_id": session_id,
                    "prompt": prompt,
                    "model": arguments.model(model),
                    "agent": agent,
                    "system": system,
                    "thinking": arguments.plain(thinking),
                    "output_schema": arguments.schema(output_schema),
                    "reuse_session": reuse_session,
                    "deadline_seconds": arguments.seconds(deadline),
                    "idempotency_key": idempotency_key,
                },
                {"reuse_session": False, "deadline_seconds": 3600},
            ),
            results.SendMessageAsyncResult,
        )
        return self._perform(request)

    def get_session_status(
        self, *, session_id: str | None = None, directory: Path | None = None, all_directories: bool = False, limit: int = 50
    ) -> results.SessionStatusResult:
        """Say what one session or all of them are doing: ready, busy, retry or waiting.

        retry means that the model provider refuses and is asked again without end (attempt, retry_message, the next
        attempt); waiting means that a permission or a question blocks the turn (pending). ready means that nothing
        runs, not that the last turn succeeded: see last_turn (given where one session is asked for), or
        get_session_result. Reads only. To wait for a change use wait_for_session, not this in a loop.

        Args:
            session_id: Ask for this one session. Left out: all sessions of the directory.
            directory: Path of the directory whose sessions are meant. Left out: the session's own one, or the skill's
                default directory.
            all_directories: Look at sessions of every directory that the server knows, not of one.
            limit: At most this many sessions are returned, as a number of them.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError.
        """
        request = Request(
            "get_session_status",
            arguments.given(
                {"session_id": session_id, "directory": arguments.path(directory), "all_directories": all_directories, "limit": limit},
                {"all_directories": False, "limit": 50},
            ),
            results.SessionStatusResult,
        )
        return self._perform(request)

    def abort_session(self, session_id: str, *, include_foreign: bool = False) -> results.AbortSessionResult:
        """End the running turn of a session and verify that it ended.

        Aborts until the session and the sessions of its sub-agents are seen idle, and refuses permissions and questions
        that still wait. The session and its history stay. Returns what was running and whether the end was confirmed;
        if it was not, the call is the error abort_unconfirmed. Nothing to abort is no error. A session that this skill
        did not create needs include_foreign.

        Args:
            session_id: The session whose running turn is to end.
            include_foreign: Allow it for a session that this skill did not create.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, NotOursError, AbortUnconfirmedError.
        """
        request = Request(
            "abort_session",
            arguments.given({"session_id": session_id, "include_foreign": include_foreign}, {"include_foreign": False}),
            results.AbortSessionResult,
        )
        return self._perform(request)

    def delete_session(self, session_id: str, *, include_foreign: bool = False) -> results.DeleteSessionResult:
        """Stop whatever runs in a session, then remove it with its history.

        A session that runs is aborted and seen idle first, since a deleted session would run on unseen. Files that the
        agent changed stay. A session that somebody else removed meanwhile is no error (already_gone). Keep a session
        instead where a later task is to continue with its context. A session that this skill did not create needs
        include_foreign.

        Args:
            session_id: The session to remove; a running turn in it is stopped first.
            include_foreign: Allow it for a session that this skill did not create.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, NotOursError, AbortUnconfirmedError,
                CleanupIncompleteError.
        """
        request = Request(
            "delete_session",
            arguments.given({"session_id": session_id, "include_foreign": include_foreign}, {"include_foreign": False}),
            results.DeleteSessionResult,
        )
        return self._perform(request)

    def list_sessions(
        self, *, directory: Path | None = None, all_directories: bool = False, ours_only: bool = False, limit: int = 50
    ) -> results.ListSessionsResult:
        """List the sessions of a directory, or of all.

        The newest first, with title, directory, model, times and whether this skill created them (ours). Use it to find
        a session again, for example after a restart of the caller. Sessions of other directories show only with
        all_directories. Reads only.

        Args:
            directory: Path of the directory whose sessions are listed. Left out: the skill's default directory.
            all_directories: Look at sessions of every directory that the server knows, not of one.
            ours_only: List only sessions that this skill created.
            limit: At most this many sessions are returned, as a number of them.

        Raises:
            DriverError: How it failed.
        """
        request = Request(
            "list_sessions",
            arguments.given(
                {"directory": arguments.path(directory), "all_directories": all_directories, "ours_only": ours_only, "limit": limit},
                {"all_directories": False, "ours_only": False, "limit": 50},
            ),
            results.ListSessionsResult,
        )
        return self._perform(request)

    def list_providers(
        self, *, provider: str | None = None, connected_only: bool = True, directory: Path | None = None
    ) -> results.ListProvidersResult:
        """List model providers, their models and variants, and which can be used now.

        Use it to choose a model (give it to other actions as provider/model) and to see whether a model can think: one
        without variants refuses a thinking budget. Shows connected providers only unless told otherwise. Never shows a
        key. Reads only.

        Args:
            provider: Show only the provider of this id.
            connected_only: Show only providers that have credentials, that is, can be used now.
            directory: Path of the directory whose configuration counts. Left out: the skill's default directory.

        Raises:
            DriverError: How it failed.
        """
        request = Request(
            "list_providers",
            arguments.given(
                {"provider": provider, "connected_only": connected_only, "directory": arguments.path(directory)}, {"connected_only": True}
            ),
            results.ListProvidersResult,
        )
        return self._perform(request)

    def explain(self, record: Path, *, session_id: str | None = None, call: str | None = None) -> results.ExplainResult:
        """Tell from a flight record what happened, in plain words and times.

        Needs no server. Reads the file that OPENCODE_DRIVER_RECORD or --record named and tells each call in it: what
        was seen before the send, which rules were asked, what was sent once, what the server said, how it ended, what
        was aborted and seen stopped. Use it after a task that went wrong, or to show that one went right. Lines that a
        kill cut off are left out and said in notes.

        Args:
            record: Path of the flight record (what OPENCODE_DRIVER_RECORD or --record named).
            session_id: Only the calls that had to do with this session.
            call: Only the call of this id, as another explain showed it.

        Raises:
            DriverError: How it failed.
        """
        request = Request(
            "explain",
            arguments.given({"record": arguments.path(record), "session_id": session_id, "call": call}, {}),
            results.ExplainResult,
        )
        return self._perform(request)

    def doctor(self, *, directory: Path | None = None) -> results.DoctorResult:
        """Say on one screen why a task would hang or fail here, and what helps.

        Looks, and changes nothing: no server is started, no request is answered. Checks the program and its version,
        advisories, the server, its password, whether it can serve sessions, providers, the model, what the agent would
        ask for, stuck and left sessions, servers that share a data directory or that nobody knows, free space, the
        state file and its folder, the settings, and the agent hosts found on this machine. Each check tells what was
        seen and, where something is wrong, the command that helps; what cannot be seen in time is unknown. A finding is
        a result and not an error. Use it when a call hangs or fails and its own error does not tell why.

        Args:
            directory: Path of the directory in which a task would run. Left out: the skill's default directory.

        Raises:
            DriverError: How it failed.
        """
        request = Request("doctor", arguments.given({"directory": arguments.path(directory)}, {}), results.DoctorResult)
        return self._perform(request)

    def start_server(
        self, *, port: int = 0, directory: Path | None = None, without_project_code: bool = False, deadline: Seconds = 45
    ) -> results.StartServerResult:
        """Start an OpenCode server on this machine, or adopt ours that runs.

        Loopback only, with a random password that this skill remembers. The server outlives the call and is found again
        by later ones. A running server of ours is adopted (started is false). check_availability does this by itself
        where needed. If it fails, details hold the end of the log.

        Args:
            port: TCP port on loopback: 0 takes a free one, otherwise 1024 to 65535.
            directory: Path of the server's own working directory. Left out: the skill's default directory.
            without_project_code: true: the server reads no project's opencode.json and runs none of its MCP servers,
                tools, formatters or language servers, so that folders need no trust; one with plugins is still refused
                unless it is trusted.
            deadline: Total time until the server must be ready, in seconds. Or a ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: BinaryNotFoundError, VulnerableVersionError,
                ServerStartFailedError, ServerNotReadyError, PortInUseError.
        """
        request = Request(
            "start_server",
            arguments.given(
                {
                    "port": port,
                    "directory": arguments.path(directory),
                    "without_project_code": without_project_code,
                    "deadline_seconds": arguments.seconds(deadline),
                },
                {"port": 0, "without_project_code": False, "deadline_seconds": 45},
            ),
            results.StartServerResult,
        )
        return self._perform(request)

    def install_opencode(self, *, deadline: Seconds = 600) -> results.InstallOpencodeResult:
        """Get the OpenCode that this skill drives from npm, for this skill alone.

        Puts the pinned version into the skill's own state folder, with every package checked against the digest that
        this release names; no package's script is run, and no other OpenCode on the machine is touched. It is used
        before the one on PATH unless OPENCODE_DRIVER_BINARY names another. It is there already: nothing is done
        (installed is false). It needs Node.js with npm, the network and 900 MB of room; it takes from half a minute to
        some minutes.

        Args:
            deadline: Total time for the installation, in seconds; npm is ended after it, and nothing is changed. Or a
                ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: InstallFailedError.
        """
        request = Request(
            "install_opencode",
            arguments.given({"deadline_seconds": arguments.seconds(deadline)}, {"deadline_seconds": 600}),
            results.InstallOpencodeResult,
        )
        return self._perform(request)

    def stop_server(self, *, deadline: Seconds = 30) -> results.StopServerResult:
        """Stop the server that this skill started, with everything that runs in it.

        Aborts the turns that run, ends the server, then the processes that its tools left behind, and verifies all of
        it. Only a server of ours is stopped, and only if the process is proved to be that server. No server of ours
        running is no error (was_running is false). Sessions stay stored and are there again after the next start.

        Args:
            deadline: Total time for aborting sessions and ending the process, in seconds; then it is killed. Or a
                ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: KillRefusedError, KillFailedError.
        """
        request = Request(
            "stop_server",
            arguments.given({"deadline_seconds": arguments.seconds(deadline)}, {"deadline_seconds": 30}),
            results.StopServerResult,
        )
        return self._perform(request)

    def wait_for_session(
        self, session_id: str, *, message_id: str | None = None, wait: Seconds = 45, cursor: str | None = None
    ) -> results.WaitForSessionResult:
        """Wait a bounded time for a turn: progress, or its result once it is finished.

        After send_message_async. Returns as soon as the turn is finished (done, result), as soon as something changed
        where the last answer's cursor is given, or after wait_seconds with the progress so far; then call it again with
        the cursor. A turn that failed is an error with the turn's own code, and so is one past its task's own deadline
        (turn_timeout); waiting stops nothing. A permission or question that blocks the turn stands in pending. Ending
        the wait changes nothing in the turn.

        Args:
            session_id: The session to wait for.
            message_id: Wait for the turn of this message, as send_message_async returned it. Left out: the session's
                last turn.
            wait: How long to wait at most in this call, in seconds; the task goes on after it. Or a ``timedelta``.
            cursor: What the last wait returned as cursor: this wait then ends early, at the first change since.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, ModelNotFoundError, AgentNotFoundError,
                ProviderAuthError, ProviderUnavailableError, ProviderResponseError, ProviderRetryingError,
                TurnTimeoutError, TurnAbortedError, TurnIncompleteError, PromptJoinedError, EmptyOutputError,
                RunawayTurnError, TurnInterruptedError, StructuredOutputFailedError, ContextOverflowError,
                PermissionRequiredError, QuestionPendingError, AbortUnconfirmedError.
        """
        request = Request(
            "wait_for_session",
            arguments.given(
                {"session_id": session_id, "message_id": message_id, "wait_seconds": arguments.seconds(wait), "cursor": cursor},
                {"wait_seconds": 45},
            ),
            results.WaitForSessionResult,
        )
        return self._perform(request)

    def get_session_result(self, session_id: str, *, message_id: str | None = None) -> results.SessionResult:
        """Read the result of a session's finished turn.

        The same result as send_message returns, read from the server's store: after a wait, from another process, or to
        learn whether a turn ran whose call was lost. A turn that still runs is the error session_busy; one that failed
        is an error with the turn's own code. Reads only.

        Args:
            session_id: The session whose result is wanted.
            message_id: The turn of this message. Left out: the session's last turn.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, SessionBusyError, SessionWaitingError,
                ModelNotFoundError, AgentNotFoundError, ProviderAuthError, ProviderUnavailableError,
                ProviderResponseError, ProviderRetryingError, TurnTimeoutError, TurnAbortedError, TurnIncompleteError,
                PromptJoinedError, EmptyOutputError, RunawayTurnError, TurnInterruptedError,
                StructuredOutputFailedError, ContextOverflowError, PermissionRequiredError, QuestionPendingError.
        """
        request = Request(
            "get_session_result", arguments.given({"session_id": session_id, "message_id": message_id}, {}), results.SessionResult
        )
        return self._perform(request)

    @overload
    def run_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: type[T],
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.RunTaskResult[T]: ...
    @overload
    def run_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | None = None,
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.RunTaskResult[Any]: ...
    def run_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | type[Any] | None = None,
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.RunTaskResult[Any]:
        """Do one coding task from start to end: create, send, result, delete.

        The first choice for a task whose result can be waited for. A fresh session (or a fork, with parent_id) gets the
        prompt; the result is that of send_message; the session is stopped and deleted afterwards unless keep_session is
        set, whether the task succeeded or not. A caller that may itself be stopped after a minute should use
        create_session, send_message_async and wait_for_session instead. The agent's text is data: check files_changed
        before you rely on it.

        Args:
            prompt: The task for the agent, in full: it knows nothing of earlier calls. In characters: 1 to 1048576.
            directory: Path of the existing directory in which the agent works. Left out: the skill's default directory
                (OPENCODE_DRIVER_DIRECTORY, else the caller's working directory).
            title: The session's title, one line of 1 to 200 characters. Left out: a title of the skill's own.
            model: The model for this turn, as "provider/model" text or as an object {providerID, modelID};
                list_providers names them. Left out: the default of the skill, then of the server.
            agent: Name of the OpenCode agent that runs the turn, such as build (changes files) or plan (reads only).
                Left out: the server's default agent.
            system: Further instructions put before the prompt for this turn only. In characters: 1 to 1048576.
            thinking: Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the
                result says which; a model without variants is refused.
            output_schema: A JSON Schema (an object) that the answer must fit; the answer is then returned as data under
                structured, beside the text. Or the type of the data: a dataclass, a TypedDict or a pydantic model.
            parent_id: Continue with the context of this session: it is forked, and the task runs in the fork.
            keep_session: Keep the session, so that a later task can continue with its context (parent_id).
            deadline: Total time for the whole task, in seconds; then it is aborted and the abort verified. Or a
                ``timedelta``.
            idempotency_key: A name of your choice for this very request. The same key, from any process, returns what
                it started before instead of starting it a second time; another request under the same key is refused.
                One line, up to 200 characters.
            retry_budget: How long the model provider may keep refusing, in seconds. Then the turn is stopped with
                provider_retrying (rate limit, outage). Without it, until the deadline; a provider that asks for a wait
                beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then the turn is stopped
                with provider_retrying. Without it, as often as the time allows; 0 ends the turn at the first refusal.
            fallback_models: Models to try, in this order and each in a fresh session, where the model before it failed
                on the provider's side. Each as "provider/model" or {"providerID", "modelID"}. The result says which one
                answered.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            list_ignored: Tell the changed files that ignore files leave out, too (changes.ignored_changed).
            isolation: Where the agent works: in the directory itself, in a git worktree, or in a copy. A worktree has a
                branch of its own; a copy is for folders without git. Your files stay untouched until the work is
                applied (apply, apply_work).
            base: With a worktree: the branch, tag or commit to begin with (HEAD).
            carry_changes: With a worktree: carry over what no commit holds yet. Untracked files are included, ignored
                ones are not.
            link_paths: With isolation: untracked paths that are linked into the tree. They are shared: what the agent
                changes behind them is changed in your folder.
            copy_paths: With isolation: untracked paths that are copied into the tree.
            apply: With isolation: bring the finished work into your folder and remove it. A conflict is the error
                work_conflict: then your folder is as it was, and the work is kept.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            check: A command of yours that says whether the work is right. It runs where the work is; while it fails,
                the agent mends the work.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.

        Raises:
            DriverError: How it failed; causes of its own: InvalidPolicyError, SessionLockedError,
                IdempotencyConflictError, SessionNotFoundError, ModelNotFoundError, AgentNotFoundError,
                ThinkingUnsupportedError, ProviderAuthError, ProviderUnavailableError, ProviderResponseError,
                ProviderRetryingError, TurnTimeoutError, TurnAbortedError, TurnIncompleteError, PromptJoinedError,
                EmptyOutputError, RunawayTurnError, TurnInterruptedError, StructuredOutputFailedError,
                ContextOverflowError, PermissionRequiredError, QuestionPendingError, ModelWithoutPriceError,
                CheckFailedError, BudgetExceededError, StalledError, AbortUnconfirmedError, CleanupIncompleteError,
                WorkFailedError, WorkConflictError, WorkNotFoundError, WorkBusyError, WorkDirtyError.
        """
        request = Request(
            "run_task",
            arguments.given(
                {
                    "prompt": prompt,
                    "directory": arguments.path(directory),
                    "title": title,
                    "model": arguments.model(model),
                    "agent": agent,
                    "system": system,
                    "thinking": arguments.plain(thinking),
                    "output_schema": arguments.schema(output_schema),
                    "parent_id": parent_id,
                    "keep_session": keep_session,
                    "deadline_seconds": arguments.seconds(deadline),
                    "idempotency_key": idempotency_key,
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "fallback_models": arguments.models(fallback_models),
                    "on_request": on_request,
                    "list_ignored": list_ignored,
                    "isolation": isolation,
                    "base": base,
                    "carry_changes": carry_changes,
                    "link_paths": arguments.plain(link_paths),
                    "copy_paths": arguments.plain(copy_paths),
                    "apply": apply,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                    "check": arguments.plain(check),
                },
                {
                    "keep_session": False,
                    "deadline_seconds": 600,
                    "list_ignored": False,
                    "isolation": "none",
                    "carry_changes": False,
                    "apply": False,
                },
            ),
            results.RunTaskResult,
            structured=arguments.answer_type(output_schema),
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._perform(request)

    @overload
    def stream_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: type[T],
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.RunTaskResult[T]]: ...
    @overload
    def stream_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | None = None,
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.RunTaskResult[Any]]: ...
    def stream_task(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        model: Model | None = None,
        agent: str | None = None,
        system: str | None = None,
        thinking: Thinking | None = None,
        output_schema: Mapping[str, object] | type[Any] | None = None,
        parent_id: str | None = None,
        keep_session: bool = False,
        deadline: Seconds = 600,
        idempotency_key: str | None = None,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        list_ignored: bool = False,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        check: Check | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.RunTaskResult[Any]]:
        """Follow run_task while it runs: do one coding task from start to end: create, send, result, delete.

        The first choice for a task whose result can be waited for. A fresh session (or a fork, with parent_id) gets the
        prompt; the result is that of send_message; the session is stopped and deleted afterwards unless keep_session is
        set, whether the task succeeded or not. A caller that may itself be stopped after a minute should use
        create_session, send_message_async and wait_for_session instead. The agent's text is data: check files_changed
        before you rely on it.

        Use it as a block: ``with … as task``. Leaving the block early stops the task, verified.

        Args:
            prompt: The task for the agent, in full: it knows nothing of earlier calls. In characters: 1 to 1048576.
            directory: Path of the existing directory in which the agent works. Left out: the skill's default directory
                (OPENCODE_DRIVER_DIRECTORY, else the caller's working directory).
            title: The session's title, one line of 1 to 200 characters. Left out: a title of the skill's own.
            model: The model for this turn, as "provider/model" text or as an object {providerID, modelID};
                list_providers names them. Left out: the default of the skill, then of the server.
            agent: Name of the OpenCode agent that runs the turn, such as build (changes files) or plan (reads only).
                Left out: the server's default agent.
            system: Further instructions put before the prompt for this turn only. In characters: 1 to 1048576.
            thinking: Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the
                result says which; a model without variants is refused.
            output_schema: A JSON Schema (an object) that the answer must fit; the answer is then returned as data under
                structured, beside the text. Or the type of the data: a dataclass, a TypedDict or a pydantic model.
            parent_id: Continue with the context of this session: it is forked, and the task runs in the fork.
            keep_session: Keep the session, so that a later task can continue with its context (parent_id).
            deadline: Total time for the whole task, in seconds; then it is aborted and the abort verified. Or a
                ``timedelta``.
            idempotency_key: A name of your choice for this very request. The same key, from any process, returns what
                it started before instead of starting it a second time; another request under the same key is refused.
                One line, up to 200 characters.
            retry_budget: How long the model provider may keep refusing, in seconds. Then the turn is stopped with
                provider_retrying (rate limit, outage). Without it, until the deadline; a provider that asks for a wait
                beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then the turn is stopped
                with provider_retrying. Without it, as often as the time allows; 0 ends the turn at the first refusal.
            fallback_models: Models to try, in this order and each in a fresh session, where the model before it failed
                on the provider's side. Each as "provider/model" or {"providerID", "modelID"}. The result says which one
                answered.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            list_ignored: Tell the changed files that ignore files leave out, too (changes.ignored_changed).
            isolation: Where the agent works: in the directory itself, in a git worktree, or in a copy. A worktree has a
                branch of its own; a copy is for folders without git. Your files stay untouched until the work is
                applied (apply, apply_work).
            base: With a worktree: the branch, tag or commit to begin with (HEAD).
            carry_changes: With a worktree: carry over what no commit holds yet. Untracked files are included, ignored
                ones are not.
            link_paths: With isolation: untracked paths that are linked into the tree. They are shared: what the agent
                changes behind them is changed in your folder.
            copy_paths: With isolation: untracked paths that are copied into the tree.
            apply: With isolation: bring the finished work into your folder and remove it. A conflict is the error
                work_conflict: then your folder is as it was, and the work is kept.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            check: A command of yours that says whether the work is right. It runs where the work is; while it fails,
                the agent mends the work.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.
        """
        request = Request(
            "run_task",
            arguments.given(
                {
                    "prompt": prompt,
                    "directory": arguments.path(directory),
                    "title": title,
                    "model": arguments.model(model),
                    "agent": agent,
                    "system": system,
                    "thinking": arguments.plain(thinking),
                    "output_schema": arguments.schema(output_schema),
                    "parent_id": parent_id,
                    "keep_session": keep_session,
                    "deadline_seconds": arguments.seconds(deadline),
                    "idempotency_key": idempotency_key,
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "fallback_models": arguments.models(fallback_models),
                    "on_request": on_request,
                    "list_ignored": list_ignored,
                    "isolation": isolation,
                    "base": base,
                    "carry_changes": carry_changes,
                    "link_paths": arguments.plain(link_paths),
                    "copy_paths": arguments.plain(copy_paths),
                    "apply": apply,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                    "check": arguments.plain(check),
                },
                {
                    "keep_session": False,
                    "deadline_seconds": 600,
                    "list_ignored": False,
                    "isolation": "none",
                    "carry_changes": False,
                    "apply": False,
                },
            ),
            results.RunTaskResult,
            structured=arguments.answer_type(output_schema),
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._stream(request)

    def run_plan_and_implement(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        plan_model: Model | None = None,
        model: Model | None = None,
        plan_agent: str = "plan",
        agent: str = "build",
        thinking: Thinking | None = None,
        keep_sessions: bool = False,
        deadline: Seconds = 1200,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> results.RunPlanAndImplementResult:
        """Plan in one session, then implement the plan in a fresh one.

        For tasks that are worth a plan. The first session plans (agent plan, which changes nothing; thinking applies to
        it); the second gets the task and the plan and implements it. Returns both results. If planning fails, nothing
        is implemented. The deadline covers both.

        Args:
            prompt: What is to be built, in full. It is planned in one session and implemented in a fresh one that is
                given the plan. In characters: 1 to 1048576.
            directory: Path of the existing directory in which the agent works. Left out: the skill's default directory
                (OPENCODE_DRIVER_DIRECTORY, else the caller's working directory).
            title: Title of both sessions, one line of 1 to 200 characters. Left out: titles of the skill's own.
            plan_model: The model that plans, as "provider/model" text or as an object {providerID, modelID}. Left out:
                the same as model.
            model: The model that implements, as "provider/model" text or as an object {providerID, modelID}. Left out:
                the default of the skill, then of the server.
            plan_agent: Name of the OpenCode agent that plans.
            agent: Name of the OpenCode agent that implements.
            thinking: Deeper thinking for the plan. The budget is mapped to the model's nearest variant, and the result
                says which; a model without variants is refused.
            keep_sessions: Keep both sessions, so that a later task can continue with their context (parent_id).
            deadline: Total time for plan and implementation together, in seconds; then what runs is aborted and the
                abort verified. Or a ``timedelta``.
            retry_budget: How long the model provider may keep refusing, in seconds. Then planning or implementing is
                stopped with provider_retrying (rate limit, outage). Without it, until the deadline; a provider that
                asks for a wait beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then planning or
                implementing is stopped with provider_retrying. Without it, as often as the time allows; 0 ends the turn
                at the first refusal.
            fallback_models: Models to try, in this order and each in a fresh session, where planning or implementing
                failed on the provider's side. Each as "provider/model" or {"providerID", "modelID"}. The result says
                which one answered.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            isolation: Where the agent works: in the directory itself, in a git worktree, or in a copy. A worktree has a
                branch of its own; a copy is for folders without git. Your files stay untouched until the work is
                applied (apply, apply_work).
            base: With a worktree: the branch, tag or commit to begin with (HEAD).
            carry_changes: With a worktree: carry over what no commit holds yet. Untracked files are included, ignored
                ones are not.
            link_paths: With isolation: untracked paths that are linked into the tree. They are shared: what the agent
                changes behind them is changed in your folder.
            copy_paths: With isolation: untracked paths that are copied into the tree.
            apply: With isolation: bring the finished work into your folder and remove it. A conflict is the error
                work_conflict: then your folder is as it was, and the work is kept.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.

        Raises:
            DriverError: How it failed; causes of its own: InvalidPolicyError, SessionLockedError, ModelNotFoundError,
                AgentNotFoundError, ThinkingUnsupportedError, ProviderAuthError, ProviderUnavailableError,
                ProviderResponseError, ProviderRetryingError, TurnTimeoutError, TurnAbortedError, TurnIncompleteError,
                PromptJoinedError, EmptyOutputError, RunawayTurnError, TurnInterruptedError,
                StructuredOutputFailedError, ContextOverflowError, PermissionRequiredError, QuestionPendingError,
                ModelWithoutPriceError, BudgetExceededError, StalledError, AbortUnconfirmedError,
                CleanupIncompleteError, WorkFailedError, WorkConflictError, WorkNotFoundError.
        """
        request = Request(
            "run_plan_and_implement",
            arguments.given(
                {
                    "prompt": prompt,
                    "directory": arguments.path(directory),
                    "title": title,
                    "plan_model": arguments.model(plan_model),
                    "model": arguments.model(model),
                    "plan_agent": plan_agent,
                    "agent": agent,
                    "thinking": arguments.plain(thinking),
                    "keep_sessions": keep_sessions,
                    "deadline_seconds": arguments.seconds(deadline),
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "fallback_models": arguments.models(fallback_models),
                    "on_request": on_request,
                    "isolation": isolation,
                    "base": base,
                    "carry_changes": carry_changes,
                    "link_paths": arguments.plain(link_paths),
                    "copy_paths": arguments.plain(copy_paths),
                    "apply": apply,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                },
                {
                    "plan_agent": "plan",
                    "agent": "build",
                    "keep_sessions": False,
                    "deadline_seconds": 1200,
                    "isolation": "none",
                    "carry_changes": False,
                    "apply": False,
                },
            ),
            results.RunPlanAndImplementResult,
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._perform(request)

    def stream_plan_and_implement(
        self,
        prompt: str,
        *,
        directory: Path | None = None,
        title: str | None = None,
        plan_model: Model | None = None,
        model: Model | None = None,
        plan_agent: str = "plan",
        agent: str = "build",
        thinking: Thinking | None = None,
        keep_sessions: bool = False,
        deadline: Seconds = 1200,
        retry_budget: Seconds | None = None,
        retry_attempts: int | None = None,
        fallback_models: Sequence[Model] | None = None,
        on_request: Literal["refuse", "stop", "return"] | None = None,
        isolation: Literal["none", "worktree", "copy"] = "none",
        base: str | None = None,
        carry_changes: bool = False,
        link_paths: Sequence[str] | None = None,
        copy_paths: Sequence[str] | None = None,
        apply: bool = False,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_model_calls: int | None = None,
        max_idle: Seconds | None = None,
        on_permission: OnPermission | None = None,
        on_question: OnQuestion | None = None,
    ) -> TaskStream[results.RunPlanAndImplementResult]:
        """Follow run_plan_and_implement while it runs: plan in one session, then implement the plan in a fresh one.

        For tasks that are worth a plan. The first session plans (agent plan, which changes nothing; thinking applies to
        it); the second gets the task and the plan and implements it. Returns both results. If planning fails, nothing
        is implemented. The deadline covers both.

        Use it as a block: ``with … as task``. Leaving the block early stops the task, verified.

        Args:
            prompt: What is to be built, in full. It is planned in one session and implemented in a fresh one that is
                given the plan. In characters: 1 to 1048576.
            directory: Path of the existing directory in which the agent works. Left out: the skill's default directory
                (OPENCODE_DRIVER_DIRECTORY, else the caller's working directory).
            title: Title of both sessions, one line of 1 to 200 characters. Left out: titles of the skill's own.
            plan_model: The model that plans, as "provider/model" text or as an object {providerID, modelID}. Left out:
                the same as model.
            model: The model that implements, as "provider/model" text or as an object {providerID, modelID}. Left out:
                the default of the skill, then of the server.
            plan_agent: Name of the OpenCode agent that plans.
            agent: Name of the OpenCode agent that implements.
            thinking: Deeper thinking for the plan. The budget is mapped to the model's nearest variant, and the result
                says which; a model without variants is refused.
            keep_sessions: Keep both sessions, so that a later task can continue with their context (parent_id).
            deadline: Total time for plan and implementation together, in seconds; then what runs is aborted and the
                abort verified. Or a ``timedelta``.
            retry_budget: How long the model provider may keep refusing, in seconds. Then planning or implementing is
                stopped with provider_retrying (rate limit, outage). Without it, until the deadline; a provider that
                asks for a wait beyond the deadline ends the turn at once. Or a ``timedelta``.
            retry_attempts: Number of times that a model provider that refuses is asked again. Then planning or
                implementing is stopped with provider_retrying. Without it, as often as the time allows; 0 ends the turn
                at the first refusal.
            fallback_models: Models to try, in this order and each in a fresh session, where planning or implementing
                failed on the provider's side. Each as "provider/model" or {"providerID", "modelID"}. The result says
                which one answered.
            on_request: What becomes of a permission or question that neither a plugin nor the policy file decides. With
                refuse the agent is told that nobody is there, and goes on. With stop the turn is stopped
                (permission_required, question_pending). With return the call ends with state waiting, and the caller
                answers. Left out: what the policy file says, else refuse.
            isolation: Where the agent works: in the directory itself, in a git worktree, or in a copy. A worktree has a
                branch of its own; a copy is for folders without git. Your files stay untouched until the work is
                applied (apply, apply_work).
            base: With a worktree: the branch, tag or commit to begin with (HEAD).
            carry_changes: With a worktree: carry over what no commit holds yet. Untracked files are included, ignored
                ones are not.
            link_paths: With isolation: untracked paths that are linked into the tree. They are shared: what the agent
                changes behind them is changed in your folder.
            copy_paths: With isolation: untracked paths that are copied into the tree.
            apply: With isolation: bring the finished work into your folder and remove it. A conflict is the error
                work_conflict: then your folder is as it was, and the work is kept.
            max_cost_usd: Cap on the cost, in US dollars, sub-agents included. At a cap the task is stopped while it
                runs (budget_exceeded). A model without a price is refused.
            max_tokens: Cap on all tokens of all model calls, in tokens. Input, output, thinking and cache count, in
                sub-agents too.
            max_model_calls: Cap on the number of model calls, sub-agents included.
            max_idle: Stop the task after so long without new output, tool or step, in seconds. Then the error is
                stalled; a silent command counts as idle. Or a ``timedelta``.
            on_permission: Answers the agent's permissions, for this call alone; asked before plugins and the policy
                file.
            on_question: Answers the agent's questions, for this call alone; asked before plugins and the policy file.
        """
        request = Request(
            "run_plan_and_implement",
            arguments.given(
                {
                    "prompt": prompt,
                    "directory": arguments.path(directory),
                    "title": title,
                    "plan_model": arguments.model(plan_model),
                    "model": arguments.model(model),
                    "plan_agent": plan_agent,
                    "agent": agent,
                    "thinking": arguments.plain(thinking),
                    "keep_sessions": keep_sessions,
                    "deadline_seconds": arguments.seconds(deadline),
                    "retry_budget_seconds": arguments.seconds(retry_budget),
                    "retry_attempts": retry_attempts,
                    "fallback_models": arguments.models(fallback_models),
                    "on_request": on_request,
                    "isolation": isolation,
                    "base": base,
                    "carry_changes": carry_changes,
                    "link_paths": arguments.plain(link_paths),
                    "copy_paths": arguments.plain(copy_paths),
                    "apply": apply,
                    "max_cost_usd": max_cost_usd,
                    "max_tokens": max_tokens,
                    "max_model_calls": max_model_calls,
                    "max_idle_seconds": arguments.seconds(max_idle),
                },
                {
                    "plan_agent": "plan",
                    "agent": "build",
                    "keep_sessions": False,
                    "deadline_seconds": 1200,
                    "isolation": "none",
                    "carry_changes": False,
                    "apply": False,
                },
            ),
            results.RunPlanAndImplementResult,
            on_permission=on_permission,
            on_question=on_question,
        )
        return self._stream(request)

    def watch_events(
        self, *, session_id: str | None = None, max_events: int = 100, wait: Seconds = 30, until_idle: bool = False
    ) -> results.WatchEventsResult:
        """Report live events of one session or of all, bounded in time and number.

        For following the work of others, or of a task that runs in the background: one line for each event. Events are
        a hint, not a proof; what a turn has done is read with get_session_result. Ends after max_events, after
        wait_seconds, or when the session has become idle (until_idle). Events before the call are not seen. Reads only.

        Args:
            session_id: Report events of this session only. Left out: of all sessions.
            max_events: End after this many events, as a number of them.
            wait: End after this time, in seconds. Or a ``timedelta``.
            until_idle: End as soon as the session has become idle.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError.
        """
        request = Request(
            "watch_events",
            arguments.given(
                {"session_id": session_id, "max_events": max_events, "wait_seconds": arguments.seconds(wait), "until_idle": until_idle},
                {"max_events": 100, "wait_seconds": 30, "until_idle": False},
            ),
            results.WatchEventsResult,
        )
        return self._perform(request)

    def report(
        self,
        *,
        file: str | None = None,
        record: Path | None = None,
        call: str | None = None,
        format: Literal["html", "atif", "otel"] = "html",
        output: str | None = None,
        include_texts: bool = False,
    ) -> results.ReportResult:
        """Make a page, an ATIF trajectory or OpenTelemetry spans of what a task did.

        Needs no server. Reads what a task left (its result, its transcript, or a flight record) and makes one file of
        it: a page for people, or a trajectory in ATIF for Harbor and other tools; or sends spans by the conventions for
        generative AI to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, without texts unless asked. Works for
        tasks that failed or ran out of time, too.

        Args:
            file: Absolute path of what a task left: its result (the envelope as JSON, of success or error), or its
                transcript (trajectory).
            record: Path of the flight record (what OPENCODE_DRIVER_RECORD or --record named).
            call: Only the calls of this id, as explain showed it.
            format: html: a page for people. atif: a trajectory for Harbor and other tools. otel: spans, sent to a
                collector.
            output: Absolute path of the new file, .html or .json; report.html or trajectory.json in the current folder
                if left out. Only an earlier report is replaced.
            include_texts: For otel: put prompts, answers and texts of tools into the spans.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, ExportFailedError, ReportFailedError.
        """
        request = Request(
            "report",
            arguments.given(
                {
                    "file": file,
                    "record": arguments.path(record),
                    "call": call,
                    "format": format,
                    "output": output,
                    "include_texts": include_texts,
                },
                {"format": "html", "include_texts": False},
            ),
            results.ReportResult,
        )
        return self._perform(request)

    def reply_permission(
        self, permission_id: str, session_id: str, answer: Literal["once", "always", "reject"], *, message: str | None = None
    ) -> results.ReplyPermissionResult:
        """Answer a permission that the agent waits for.

        get_session_status lists what waits. Without an answer a waiting turn runs into its deadline. Prefer reject or
        once: always also covers later requests like it while the server runs. Grant only what the task needs; the
        request's text comes from the model. Returns whether the request was seen to be gone.

        Args:
            permission_id: The pending permission's id, as get_session_status lists it.
            session_id: The session that waits for it.
            answer: once allows this one request, always also later ones like it while the server runs, reject refuses
                it.
            message: Tells the agent why, in 1 to 2000 characters.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, RequestNotFoundError.
        """
        request = Request(
            "reply_permission",
            arguments.given({"permission_id": permission_id, "session_id": session_id, "answer": answer, "message": message}, {}),
            results.ReplyPermissionResult,
        )
        return self._perform(request)

    def reply_question(
        self, question_id: str, session_id: str, *, answers: Sequence[Sequence[str]] | None = None, reject: bool = False
    ) -> results.ReplyQuestionResult:
        """Answer a question that the agent asks, or refuse to.

        get_session_status lists what waits, with the labels to choose from. Give answers (for each question, in order,
        a list of labels or free text) or reject, not both. Returns whether the request was seen to be gone.

        Args:
            question_id: The pending question's id, as get_session_status lists it.
            session_id: The session that waits for it.
            answers: For each question, in order, the chosen labels (or free text). Give either this or reject.
            reject: Refuse to answer. Give either this or answers.

        Raises:
            DriverError: How it failed; causes of its own: SessionNotFoundError, RequestNotFoundError.
        """
        request = Request(
            "reply_question",
            arguments.given(
                {"question_id": question_id, "session_id": session_id, "answers": arguments.plain(answers), "reject": reject},
                {"reject": False},
            ),
            results.ReplyQuestionResult,
        )
        return self._perform(request)

    def check_policy(
        self,
        *,
        permission: str | None = None,
        pattern: str | None = None,
        patterns: Sequence[str] | None = None,
        question: str | None = None,
        header: str | None = None,
        options: Sequence[str] | None = None,
        multiple: bool = False,
    ) -> results.CheckPolicyResult:
        """Say what the policy file would answer to a permission or a question.

        A dry run: no server is needed and nobody is asked. The first rule that matches decides; of a request with
        several patterns all must be allowed; what no rule allows is refused. A plugin of the host that decides
        permissions comes before the policy file and is not asked here. Returns the answer, the rule and its line, and
        whether the agent would work on after it. Without a policy file everything is refused.

        Args:
            permission: The kind of permission that the agent would ask for. Give either this or question.
            pattern: With permission: what it would be asked for, a command or a path.
            patterns: With permission: the same, where one request asks for several; all of them must be allowed. Give
                either this or pattern.
            question: The question that the agent would ask. Give either this or permission.
            header: With question: its short heading.
            options: With question: the labels that would be offered.
            multiple: With question: whether several labels could be chosen.

        Raises:
            DriverError: How it failed; causes of its own: InvalidPolicyError.
        """
        request = Request(
            "check_policy",
            arguments.given(
                {
                    "permission": permission,
                    "pattern": pattern,
                    "patterns": arguments.plain(patterns),
                    "question": question,
                    "header": header,
                    "options": arguments.plain(options),
                    "multiple": multiple,
                },
                {"multiple": False},
            ),
            results.CheckPolicyResult,
        )
        return self._perform(request)

    def cleanup(self, *, dry_run: bool = False, older_than: Seconds | None = None) -> results.CleanupResult:
        """Stop and remove what killed callers and overdue tasks left behind.

        Finds sessions of this skill that nobody waits for: their calling process is gone, or their own deadline has
        passed while they run (these are stopped and kept, so that their result can still be asked for). Each is
        aborted, the abort verified, and then deleted. dry_run only tells. Age alone is a reason only with
        older_than_seconds. Sessions of anybody else are never touched.

        Args:
            dry_run: Only tell what would be stopped and removed.
            older_than: Also delete sessions of this skill that run nothing and were last used longer ago than this, in
                seconds. Without it, age alone is no reason. Or a ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: CleanupIncompleteError, ServerNotReadyError.
        """
        request = Request(
            "cleanup",
            arguments.given({"dry_run": dry_run, "older_than_seconds": arguments.seconds(older_than)}, {"dry_run": False}),
            results.CleanupResult,
        )
        return self._perform(request)

    def recover(self, *, force: bool = False, directory: Path | None = None, deadline: Seconds = 60) -> results.RecoverResult:
        """Get a stuck server going again, and tell what was lost.

        For a server that hangs or whose sessions hang in retry. Sessions of this skill in retry are aborted, verified.
        Where two or more hang in retry, where the server no longer answers, or with force, the server process itself is
        killed and started afresh, provided that this skill started it; a server of somebody else is never signalled
        (kill_refused). The answer names every session whose running turn was lost.

        Args:
            force: Restart the server even where nothing seems stuck.
            directory: Path of the server's own working directory. Left out: the skill's default directory.
            deadline: Time for the server to become ready again, in seconds. Or a ``timedelta``.

        Raises:
            DriverError: How it failed; causes of its own: KillRefusedError, BinaryNotFoundError,
                VulnerableVersionError, ServerStartFailedError, ServerNotReadyError, PortInUseError.
        """
        request = Request(
            "recover",
            arguments.given(
                {"force": force, "directory": arguments.path(directory), "deadline_seconds": arguments.seconds(deadline)},
                {"force": False, "deadline_seconds": 60},
            ),
            results.RecoverResult,
        )
        return self._perform(request)

    def run_batch(
        self,
        items: Sequence[Mapping[str, Any]] | None = None,
        *,
        file: str | None = None,
        prompt_template: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        name: str | None = None,
        add: bool = False,
        concurrency: int = 4,
        max_starts_per_minute: int | None = None,
        max_cost_usd: float | None = None,
        stop_after_failures: int | None = None,
        retry_codes: Sequence[str] | None = None,
        retry_limit: int = 3,
        shared_directories: bool = False,
        start_worker: bool = True,
        wait: Seconds = 43200,
        results_file: str | None = None,
        predictions: str | None = None,
        results_folder: str | None = None,
    ) -> results.RunBatchResult:
        """Run many tasks, several at once, and follow them to their end.

        The input is checked as a whole before anything runs. The tasks run in a worker process, which is started if
        none lives and goes on without this call. The same input again goes on with the same batch. Each task ends
        exactly once in the results, whatever is killed; one task works in a directory at a time. If your host ends long
        calls, use submit_batch and wait_for_batch.

        Args:
            items: The tasks as a list, in place of file.
            file: Path of the tasks, one to a line or row (.jsonl, .yaml, .csv): what run_task takes, and id and
                priority. The same file again is the same batch.
            prompt_template: A prompt with {column} for a row's values; {{ }} for braces.
            defaults: Fields of run_task for tasks without them.
            name: The same name is the same batch. Left out: the file's path, or what the list holds.
            add: Take what is new or changed into a batch that is there.
            concurrency: How many tasks run at once, on all workers together.
            max_starts_per_minute: How many starts there may be within a minute.
            max_cost_usd: Once spent, in US dollars, nothing more starts.
            stop_after_failures: How many tasks may fail before nothing more starts.
            retry_codes: Errors after which a task is tried again. Left out: those of the surroundings.
            retry_limit: How many times a task is tried again.
            shared_directories: Whether all machines see the directories under the same path.
            start_worker: Start a worker here if none lives.
            wait: How long to wait, in seconds; the batch goes on after it. Or a ``timedelta``.
            results_file: Append each result to this file as a JSON line. Left out: FILE.results.jsonl.
            predictions: File for each task's patch in SWE-bench's form (.json, .jsonl).
            results_folder: Folder for each task's patch and page, and an index of them.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchChangedError, BatchHaltedError, WorkerFailedError.
        """
        request = Request(
            "run_batch",
            arguments.given(
                {
                    "items": arguments.plain(items),
                    "file": file,
                    "prompt_template": prompt_template,
                    "defaults": arguments.plain(defaults),
                    "name": name,
                    "add": add,
                    "concurrency": concurrency,
                    "max_starts_per_minute": max_starts_per_minute,
                    "max_cost_usd": max_cost_usd,
                    "stop_after_failures": stop_after_failures,
                    "retry_codes": arguments.plain(retry_codes),
                    "retry_limit": retry_limit,
                    "shared_directories": shared_directories,
                    "start_worker": start_worker,
                    "wait_seconds": arguments.seconds(wait),
                    "results_file": results_file,
                    "predictions": predictions,
                    "results_folder": results_folder,
                },
                {
                    "add": False,
                    "concurrency": 4,
                    "retry_limit": 3,
                    "shared_directories": False,
                    "start_worker": True,
                    "wait_seconds": 43200,
                },
            ),
            results.RunBatchResult,
        )
        return self._perform(request)

    def stream_batch(
        self,
        items: Sequence[Mapping[str, Any]] | None = None,
        *,
        file: str | None = None,
        prompt_template: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        name: str | None = None,
        add: bool = False,
        concurrency: int = 4,
        max_starts_per_minute: int | None = None,
        max_cost_usd: float | None = None,
        stop_after_failures: int | None = None,
        retry_codes: Sequence[str] | None = None,
        retry_limit: int = 3,
        shared_directories: bool = False,
        start_worker: bool = True,
        wait: Seconds = 43200,
        results_file: str | None = None,
        predictions: str | None = None,
        results_folder: str | None = None,
    ) -> BatchRun:
        """Run many tasks, several at once, and follow them to their end.

        The input is checked as a whole before anything runs. The tasks run in a worker process, which is started if
        none lives and goes on without this call. The same input again goes on with the same batch. Each task ends
        exactly once in the results, whatever is killed; one task works in a directory at a time. If your host ends long
        calls, use submit_batch and wait_for_batch.

        ``for item in oc.stream_batch(items)`` yields each task as it ends.

        Args:
            items: The tasks as a list, in place of file.
            file: Path of the tasks, one to a line or row (.jsonl, .yaml, .csv): what run_task takes, and id and
                priority. The same file again is the same batch.
            prompt_template: A prompt with {column} for a row's values; {{ }} for braces.
            defaults: Fields of run_task for tasks without them.
            name: The same name is the same batch. Left out: the file's path, or what the list holds.
            add: Take what is new or changed into a batch that is there.
            concurrency: How many tasks run at once, on all workers together.
            max_starts_per_minute: How many starts there may be within a minute.
            max_cost_usd: Once spent, in US dollars, nothing more starts.
            stop_after_failures: How many tasks may fail before nothing more starts.
            retry_codes: Errors after which a task is tried again. Left out: those of the surroundings.
            retry_limit: How many times a task is tried again.
            shared_directories: Whether all machines see the directories under the same path.
            start_worker: Start a worker here if none lives.
            wait: How long to wait, in seconds; the batch goes on after it. Or a ``timedelta``.
            results_file: Append each result to this file as a JSON line. Left out: FILE.results.jsonl.
            predictions: File for each task's patch in SWE-bench's form (.json, .jsonl).
            results_folder: Folder for each task's patch and page, and an index of them.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchChangedError, BatchHaltedError, WorkerFailedError.
        """
        request = Request(
            "run_batch",
            arguments.given(
                {
                    "items": arguments.plain(items),
                    "file": file,
                    "prompt_template": prompt_template,
                    "defaults": arguments.plain(defaults),
                    "name": name,
                    "add": add,
                    "concurrency": concurrency,
                    "max_starts_per_minute": max_starts_per_minute,
                    "max_cost_usd": max_cost_usd,
                    "stop_after_failures": stop_after_failures,
                    "retry_codes": arguments.plain(retry_codes),
                    "retry_limit": retry_limit,
                    "shared_directories": shared_directories,
                    "start_worker": start_worker,
                    "wait_seconds": arguments.seconds(wait),
                    "results_file": results_file,
                    "predictions": predictions,
                    "results_folder": results_folder,
                },
                {
                    "add": False,
                    "concurrency": 4,
                    "retry_limit": 3,
                    "shared_directories": False,
                    "start_worker": True,
                    "wait_seconds": 43200,
                },
            ),
            results.RunBatchResult,
        )
        return BatchRun(self._host, request)

    def submit_batch(
        self,
        items: Sequence[Mapping[str, Any]] | None = None,
        *,
        file: str | None = None,
        prompt_template: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        name: str | None = None,
        add: bool = False,
        concurrency: int = 4,
        max_starts_per_minute: int | None = None,
        max_cost_usd: float | None = None,
        stop_after_failures: int | None = None,
        retry_codes: Sequence[str] | None = None,
        retry_limit: int = 3,
        shared_directories: bool = False,
        start_worker: bool = True,
    ) -> results.SubmitBatchResult:
        """Take many tasks in, to be run by workers in the background, and return at once.

        As run_batch, without following: see wait_for_batch and get_batch_results.

        Args:
            items: The tasks as a list, in place of file.
            file: Path of the tasks, one to a line or row (.jsonl, .yaml, .csv): what run_task takes, and id and
                priority. The same file again is the same batch.
            prompt_template: A prompt with {column} for a row's values; {{ }} for braces.
            defaults: Fields of run_task for tasks without them.
            name: The same name is the same batch. Left out: the file's path, or what the list holds.
            add: Take what is new or changed into a batch that is there.
            concurrency: How many tasks run at once, on all workers together.
            max_starts_per_minute: How many starts there may be within a minute.
            max_cost_usd: Once spent, in US dollars, nothing more starts.
            stop_after_failures: How many tasks may fail before nothing more starts.
            retry_codes: Errors after which a task is tried again. Left out: those of the surroundings.
            retry_limit: How many times a task is tried again.
            shared_directories: Whether all machines see the directories under the same path.
            start_worker: Start a worker here if none lives.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchChangedError, WorkerFailedError.
        """
        request = Request(
            "submit_batch",
            arguments.given(
                {
                    "items": arguments.plain(items),
                    "file": file,
                    "prompt_template": prompt_template,
                    "defaults": arguments.plain(defaults),
                    "name": name,
                    "add": add,
                    "concurrency": concurrency,
                    "max_starts_per_minute": max_starts_per_minute,
                    "max_cost_usd": max_cost_usd,
                    "stop_after_failures": stop_after_failures,
                    "retry_codes": arguments.plain(retry_codes),
                    "retry_limit": retry_limit,
                    "shared_directories": shared_directories,
                    "start_worker": start_worker,
                },
                {"add": False, "concurrency": 4, "retry_limit": 3, "shared_directories": False, "start_worker": True},
            ),
            results.SubmitBatchResult,
        )
        return self._perform(request)

    def get_batch(self, batch_id: str) -> results.BatchResult:
        """Say how far a batch is.

        Counts, failures by error, what runs, cost and an estimate of the time left.

        Args:
            batch_id: The batch's id or name.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError.
        """
        request = Request("get_batch", arguments.given({"batch_id": batch_id}, {}), results.BatchResult)
        return self._perform(request)

    def wait_for_batch(self, batch_id: str, *, wait: Seconds = 45, cursor: str | None = None) -> results.WaitForBatchResult:
        """Wait up to 45 seconds for the end of a batch, or for progress.

        Ends at once when every task has ended, or the batch is paused or halted; with cursor also at the first change.
        Wait on with the command in next.

        Args:
            batch_id: The batch's id or name.
            wait: How long to wait, in seconds; the batch goes on after it. Or a ``timedelta``.
            cursor: From the last wait: this one then ends at the first change since.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError.
        """
        request = Request(
            "wait_for_batch",
            arguments.given({"batch_id": batch_id, "wait_seconds": arguments.seconds(wait), "cursor": cursor}, {"wait_seconds": 45}),
            results.WaitForBatchResult,
        )
        return self._perform(request)

    def get_batch_results(
        self, batch_id: str, *, after: int = 0, limit: int = 20, state: Literal["completed", "failed", "cancelled"] | None = None
    ) -> results.BatchResultsResult:
        """Return how the tasks of a batch ended, in pages.

        In the order of their ends: what run_task returned, or the error.

        Args:
            batch_id: The batch's id or name.
            after: next_after of the last page.
            limit: The most results to return.
            state: Only results of this state.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError, WorkerLostError.
        """
        request = Request(
            "get_batch_results",
            arguments.given({"batch_id": batch_id, "after": after, "limit": limit, "state": state}, {"after": 0, "limit": 20}),
            results.BatchResultsResult,
        )
        return self._perform(request)

    def export_batch(
        self, batch_id: str, *, results_file: str | None = None, predictions: str | None = None, results_folder: str | None = None
    ) -> results.ExportBatchResult:
        """Write the results of a batch as files.

        As far as it is; called again, it adds what is new.

        Args:
            batch_id: The batch's id or name.
            results_file: Append each result to this file as a JSON line.
            predictions: File for each task's patch in SWE-bench's form (.json, .jsonl).
            results_folder: Folder for each task's patch and page, and an index of them.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError, ReportFailedError.
        """
        request = Request(
            "export_batch",
            arguments.given(
                {"batch_id": batch_id, "results_file": results_file, "predictions": predictions, "results_folder": results_folder}, {}
            ),
            results.ExportBatchResult,
        )
        return self._perform(request)

    def cancel_batch(self, batch_id: str) -> results.CancelBatchResult:
        """Cancel what waits of a batch, and stop what runs.

        What runs is stopped by its worker, verified; see wait_for_batch. retry_batch takes it up again.

        Args:
            batch_id: The batch's id or name.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError.
        """
        request = Request("cancel_batch", arguments.given({"batch_id": batch_id}, {}), results.CancelBatchResult)
        return self._perform(request)

    def pause_batch(self, batch_id: str, *, resume: bool = False) -> results.PauseBatchResult:
        """Start nothing more of a batch, or let it go on.

        What runs ends either way. With resume the batch goes on.

        Args:
            batch_id: The batch's id or name.
            resume: Let the batch go on instead.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError, WorkerFailedError.
        """
        request = Request(
            "pause_batch", arguments.given({"batch_id": batch_id, "resume": resume}, {"resume": False}), results.PauseBatchResult
        )
        return self._perform(request)

    def retry_batch(self, batch_id: str, *, codes: Sequence[str] | None = None, start_worker: bool = True) -> results.RetryBatchResult:
        """Let tasks that failed, or were cancelled, run again.

        All of them, or those that ended with certain errors. Their earlier results are taken out.

        Args:
            batch_id: The batch's id or name.
            codes: Only tasks that ended with these errors. Left out: all that failed or were cancelled.
            start_worker: Start a worker here if none lives.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError,
                BatchNotFoundError, WorkerFailedError.
        """
        request = Request(
            "retry_batch",
            arguments.given({"batch_id": batch_id, "codes": arguments.plain(codes), "start_worker": start_worker}, {"start_worker": True}),
            results.RetryBatchResult,
        )
        return self._perform(request)

    def list_batches(self, *, limit: int = 20) -> results.ListBatchesResult:
        """List the batches of this database, the newest first.

        With counts and state, as get_batch returns them.

        Args:
            limit: The most batches to return.

        Raises:
            DriverError: How it failed; causes of its own: ExtraMissingError, DatabaseUnavailableError.
        """
        request = Request("list_batches", arguments.given({"limit": limit}, {"limit": 20}), results.ListBatchesResult)
        return self._perform(request)

    def list_work(self) -> results.ListWorkResult:
        """List the isolated work that there is, and how each stands.

        Worktrees and copies in which tasks have worked (run_task and run_plan_and_implement with isolation), newest
        first: where they are, whether their task has ended, and whether they hold something that no result has told.
        What a killed caller left is listed as interrupted. Reads only.

        Raises:
            DriverError: How it failed; causes of its own: WorkFailedError.
        """
        request = Request("list_work", arguments.given({}, {}), results.ListWorkResult)
        return self._perform(request)

    def apply_work(self, work_id: str, *, keep: bool = False) -> results.ApplyWorkResult:
        """Bring isolated work into the folder that it was taken from.

        Each changed file is compared three ways: what the work began with, what it ended with, and what your folder
        holds now. Changes at different places of a file go together; where they do not, nothing is written and the
        error (work_conflict) says where and why. Only files change: index, branches and stash stay as they are. The
        work is removed afterwards unless keep is set.

        Args:
            work_id: The work's id, as the result of its task and list_work tell it.
            keep: Keep the work, its tree and its branch, after it was brought in.

        Raises:
            DriverError: How it failed; causes of its own: WorkNotFoundError, WorkBusyError, WorkConflictError,
                WorkFailedError, WorkDirtyError.
        """
        request = Request("apply_work", arguments.given({"work_id": work_id, "keep": keep}, {"keep": False}), results.ApplyWorkResult)
        return self._perform(request)

    def discard_work(self, work_id: str, *, force: bool = False) -> results.DiscardWorkResult:
        """Remove isolated work with its tree and its branch.

        For work that is not wanted. Your folder is not touched. What holds something that no result has told (a task
        that was killed, later edits or commits) is refused as work_dirty; force removes it all the same, for good.

        Args:
            work_id: The work's id, as the result of its task and list_work tell it.
            force: Remove it even where it holds something that no result has told (list_work: unseen).

        Raises:
            DriverError: How it failed; causes of its own: WorkNotFoundError, WorkBusyError, WorkDirtyError,
                WorkFailedError.
        """
        request = Request(
            "discard_work", arguments.given({"work_id": work_id, "force": force}, {"force": False}), results.DiscardWorkResult
        )
        return self._perform(request)

    def verify_work(self, statement: str) -> results.VerifyWorkResult:
        """Repeat the check of a statement on a clean checkout of its final tree.

        A checked task (run_task with check) leaves a statement: what was changed, how it was checked, with what and at
        what price. This makes its final tree anew in a folder of its own, runs the check there, removes the folder, and
        says whether the check still holds. Only the command of a statement that this state folder has made, unchanged,
        is run.

        Args:
            statement: Absolute path of a statement, as the result of a checked task names it.

        Raises:
            DriverError: How it failed; causes of its own: StatementUnsealedError, CheckFailedError, WorkFailedError.
        """
        request = Request("verify_work", arguments.given({"statement": statement}, {}), results.VerifyWorkResult)
        return self._perform(request)


__all__ = ["OpenCode"]
