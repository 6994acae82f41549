"""One call of the Python API: what it asks for, who answers the agent in it, and what becomes of its data.

Owns the caller's functions: they decide for their own call alone, and one that fails ends that call. It does not know whether
the caller has an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from netclaw_opencode.api import _convert, events
from netclaw_opencode.api._results import Result
from netclaw_opencode.errors import ActionFailed, Stop
from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
from netclaw_opencode.host.listener import listen

if TYPE_CHECKING:
    from anyio import CancelScope

    from netclaw_opencode.api.types import OnPermission, OnQuestion
    from netclaw_opencode.host import Host

R = TypeVar("R", bound=Result)


async def perform(host: Host, action: str, arguments: Mapping[str, object]) -> dict[str, object]:
    """Run an action by its name, for nobody's functions: a call within a function of the caller is a call of its own."""
    with listen(None):
        return await host.perform(action, arguments)


@dataclass(frozen=True, slots=True)
class Request(Generic[R]):
    """What a typed method asks for.

    Attributes:
        action: The action's name.
        arguments: Its arguments, as JSON.
        result: The class of its result.
        structured: The type of the answer's data, if the caller gave one.
        on_permission: Answers the agent's permissions.
        on_question: Answers the agent's questions.
    """

    action: str
    arguments: Mapping[str, object]
    result: type[R]
    structured: object = None
    on_permission: OnPermission | None = None
    on_question: OnQuestion | None = None


class Call(Generic[R]):
    """A call that is being made; ``in_threads`` runs plain functions of the caller in a thread, where they may wait."""

    def __init__(self, request: Request[R], *, in_threads: bool, on_event: Callable[[events.TaskEvent], None] | None = None) -> None:
        self._request = request
        self._in_threads = in_threads
        self._on_event = on_event
        self._scope: CancelScope | None = None
        self._failure: Exception | None = None
        self.stop: Stop | None = None

    async def run(self, host: Host) -> R:
        """Make the call and return its result.

        Raises:
            DriverError: How it failed.
            Exception: What a function of the caller raised; the turn was stopped then.
        """
        from anyio import CancelScope

        request, data = self._request, None
        with CancelScope() as self._scope, listen(self):
            try:
                data = await host.perform(request.action, request.arguments)
            except Exception as error:
                if self._failure is None:
                    raise
                self._failure.__cause__ = error
        if self._failure is not None:
            if self.stop is not None and not self.stop.confirmed:
                self._failure.add_note(f"{request.action} was cancelled, but it is not seen stopped")
            raise self._failure
        assert data is not None  # nothing but a failure cancels this scope
        result = request.result.from_dict(data)
        if request.structured is None or data.get("structured") is None:
            return result
        return replace(result, structured=_answer(data, request.structured))  # type: ignore[call-arg]

    def on_event(self, event: ProgressEvent) -> None:
        """Hand an event on, and keep what was seen of a stop."""
        if event.kind == "stopping":
            self.stop = Stop.from_wire(event.facts) or self.stop
        elif event.kind == "session_deleted" and self.stop is not None:
            # Nothing is deleted while it runs.
            self.stop = replace(self.stop, confirmed=True)
        if self._on_event is not None:
            self._on_event(events.typed(event))

    def decides(self, request: PendingRequest) -> bool:
        """Whether the caller gave a function for requests of this kind."""
        return self._function(request) is not None

    @property
    def answers_questions(self) -> bool:
        """Whether the caller gave a function for questions."""
        return self._request.on_question is not None

    async def decide(self, request: PendingRequest) -> Decision | None:
        """Ask the caller's function; if it fails, the call is cancelled and ends with what it raised."""
        try:
            answer = await self._ask(request)
            return _permission(answer) if request.kind == "permission" else _answers(answer, request)
        except Exception as error:  # noqa: BLE001 - whatever a function of the caller raises goes back to the caller
            return await self._fail(error)

    def _function(self, request: PendingRequest) -> Callable[[PendingRequest], object] | None:
        return self._request.on_permission if request.kind == "permission" else self._request.on_question

    async def _ask(self, request: PendingRequest) -> object:
        from anyio import to_thread

        function = self._function(request)
        assert function is not None  # decides() says so
        if self._in_threads and not iscoroutinefunction(function):
            answer = await to_thread.run_sync(function, request, abandon_on_cancel=True)
        else:
            answer = function(request)
        return await answer if isawaitable(answer) else answer

    async def _fail(self, error: Exception) -> Decision:
        from anyio.lowlevel import checkpoint

        self._failure = error
        if self._scope is not None:
            self._scope.cancel()
        await checkpoint()
        return Decision("reject")


def _answer(data: Mapping[str, object], kind: object) -> object:
    """The answer as the caller's type, which may ask for more than its schema says (a validator, an ``__init__``)."""
    try:
        return _convert.parse(data["structured"], kind)
    except (ValueError, TypeError) as error:
        text = f"the answer fits output_schema, but not its type: {error}"
        details = {"session_id": data.get("session_id"), "text": str(data.get("text", ""))[:2000]}
        raise ActionFailed("structured_output_failed", text, details=details) from error


def _permission(answer: object) -> Decision | None:
    if isinstance(answer, bool):
        return Decision("once" if answer else "reject")
    if answer is None or (isinstance(answer, Decision) and answer.answer in ("once", "always", "reject")):
        return answer
    match answer:
        case "once" | "always" | "reject":
            return Decision(answer)
    raise TypeError(f"on_permission must return 'once', 'always', 'reject', a bool, a Decision on a permission or None, not {answer!r}")


def _answers(answer: object, request: PendingRequest) -> Decision | None:
    if answer is None:
        return None
    if isinstance(answer, Decision):
        found = answer
    elif len(request.questions) == 1 and (isinstance(answer, str) or _are_labels(answer)):
        found = Decision("answers", answers=(_labels(answer),))
    elif isinstance(answer, Sequence) and not isinstance(answer, str):
        found = Decision("answers", answers=tuple(map(_labels, answer)))
    else:
        raise TypeError(f"on_question must return a label, a list, Decision('reject') or None, not {answer!r}")
    if found.answer != "reject" and (found.answer != "answers" or len(found.answers) != len(request.questions)):
        raise ValueError(f"on_question must answer all of {len(request.questions)} question(s), and gave {answer!r}")
    return found


def _are_labels(answer: object) -> bool:
    return isinstance(answer, Sequence) and all(isinstance(item, str) for item in answer)


def _labels(answer: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever a function of the caller returned
    if isinstance(answer, str):
        return (answer,)
    if not _are_labels(answer):
        raise TypeError(f"on_question must answer a question with a label or a list of labels, not {answer!r}")
    return tuple(answer)


__all__ = ["Call", "Request", "perform"]
