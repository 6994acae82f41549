"""A turn: the prompt that is sent, and everything that is known of it on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netclaw_opencode.driver import structured_output
from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.verdict import Span

if TYPE_CHECKING:
    from netclaw_opencode._core.policy import Ruling
    from netclaw_opencode.driver.spending import Meter
    from netclaw_opencode.driver.transcript import Transcript
    from netclaw_opencode.errors import DriverError
    from netclaw_opencode.facts import PendingRequest, ProgressEvent
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.models import ThinkingChoice
    from netclaw_opencode.opencode.wire.history import History
    from netclaw_opencode.opencode.wire.types import ModelRef, Session, SessionStatus


@dataclass(frozen=True, slots=True)
class Answer:
    """A request of the agent and what it was answered."""

    request: PendingRequest
    ruling: Ruling

    def to_wire(self) -> dict[str, object]:
        """Return the form in results, error details and the audit file."""
        request, ruling = self.request, self.ruling
        wire: dict[str, object] = {"id": request.id, "kind": request.kind, "session_id": request.session_id}
        if request.kind == "permission":
            wire |= {"permission": request.permission or "", "patterns": list(request.patterns)}
        else:
            wire["questions"] = [item.question for item in request.questions]
        wire |= {"answer": ruling.answer, "by": ruling.by}
        if ruling.rule is not None:
            wire["rule"] = ruling.rule.number
        if ruling.chosen:
            wire["chosen"] = [list(labels) for labels in ruling.chosen]
        if ruling.message is not None:
            wire["message"] = ruling.message
        return wire


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent; ``model`` and ``thinking`` have been checked against the catalogue."""

    text: str
    model: ModelRef | None = None
    agent: str | None = None
    system: str | None = None
    thinking: ThinkingChoice | None = None
    output_schema: JsonObject | None = None

    def body(self, *, message_id: str, part_id: str, continuation: str | None = None) -> dict[str, object]:
        """Return the request body (F12), with ids of our own (F27).

        Args:
            continuation: Words with which the same turn goes on, in place of the prompt's text: marked as OpenCode marks its own (F58).
        """
        part: dict[str, object] = {"id": part_id, "type": "text", "text": self.text}
        if continuation is not None:
            part |= {"text": continuation, "synthetic": True}
        body: dict[str, object] = {"messageID": message_id, "parts": [part]}
        system = [self.system] if self.system else []
        if self.output_schema is not None:
            system.append(structured_output.instruction(self.output_schema))
        if system:
            body["system"] = "\n\n".join(system)
        if self.model is not None:
            body["model"] = {"providerID": self.model.provider_id, "modelID": self.model.model_id}
        if self.agent is not None:
            body["agent"] = self.agent
        if self.thinking is not None:
            body["variant"] = self.thinking.variant
        return body


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """How long (seconds) and how often a refusing provider may be retried; None: as far as the deadline allows."""

    seconds: float | None = None
    attempts: int | None = None


@dataclass(slots=True)
class FailedLooks:
    """Looks at the server that failed while a turn was followed: they are reported, and end nothing by themselves."""

    count: int = 0
    seconds: float = 0.0
    """How long the server could not be read, in all."""
    last: DriverError | None = None
    """The error of the newest look, where that one failed."""
    _since: float | None = None
    _streak: list[str] = field(default_factory=list)

    def add(self, error: DriverError, *, now: float) -> None:
        """Note a look that failed."""
        self.count += 1
        self.last = error
        self.seconds += now - self._since if self._since is not None else 0.0
        self._since = now
        self._streak = [*self._streak, error.code] if error.code in self._streak else [error.code]

    def repeated(self, code: str) -> int:
        """Return how many of the newest looks, one after the other, failed in this way."""
        return self._streak.count(code)

    def end(self, *, now: float) -> None:
        """Note a look that succeeded."""
        if self._since is not None:
            self.seconds += now - self._since
        self.last = self._since = None
        self._streak = []

    def note(self) -> str | None:
        """One sentence about them, or None where every look succeeded."""
        if not self.count:
            return None
        return f"{self.count} look(s) at the server failed while the turn ran; for {self.seconds:.1f} s it could not be read"


@dataclass(slots=True)
class Turn:
    """A prompt on its way.

    ``started`` is the connection's clock; ``sent`` is true from the moment on when the server may have the prompt, ``sent_by_us``
    where it is this very call that sent it, and ``arrived`` once the prompt was seen in the message store.
    """

    session: Session
    message_id: str
    started: float
    progress: Progress
    history: History
    span: Span
    newest_prompt: str = ""
    """The prompt that the next messages answer: ours, or the words with which we let it go on after a refusal."""
    gone_on_after: int = 0
    """How many answers to requests lay before those words."""
    sent_before: bool = False
    """Whether another call may have sent it."""
    sent: bool = False
    sent_by_us: bool = False
    taken_over: bool = False
    """Whether the call that sent it is gone, and this one has its place."""
    arrived: bool = False
    first_reading: int = 0
    """The first reading of the directory that says anything of the turn: those that began before the send are older than it."""
    status: SessionStatus | None = None
    pending: tuple[PendingRequest, ...] = ()
    retries: RetryLimit = RetryLimit()
    retrying_since: float | None = None
    meter: Meter | None = None
    """Counts what it spends, if that is capped."""
    transcript: Transcript | None = None
    """Keeps what is read of it, if that is wanted."""
    failed_looks: FailedLooks = field(default_factory=FailedLooks)
    phases: dict[str, float] = field(default_factory=dict)
    announced_requests: set[str] = field(default_factory=set)
    answered: list[Answer] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        connection: Connection,
        session: Session,
        *,
        emit: Callable[[ProgressEvent], None],
        message_id: str | None = None,
        transcript: Transcript | None = None,
    ) -> Turn:
        """Return a turn of this session that is not sent yet.

        Args:
            connection: The server.
            session: The session.
            emit: Gets what happens on its way.
            message_id: That of a prompt whose id is known already.
            transcript: Gets everything that is read of the turn.
        """
        prompt_id = message_id or connection.ids.message()
        progress = Progress(emit, session.id, prompt_id, clock=connection.clock)
        history = transcript.follow(connection, session, begins_at=prompt_id) if transcript is not None else connection.history(session)
        return cls(
            session,
            prompt_id,
            connection.clock(),
            progress,
            history,
            Span(prompt_id),
            newest_prompt=prompt_id,
            sent_before=message_id is not None,
            transcript=transcript,
        )

    @property
    def is_ours(self) -> bool:
        """Whether it is this call's to hold to its caps and to stop."""
        return self.sent_by_us or (self.taken_over and self.sent)

    @property
    def has_started(self) -> bool:
        """Whether the turn was seen to run."""
        return bool(self.span.steps or self.progress.statuses) or self.status is not None

    @property
    def refused(self) -> list[Answer]:
        """The answers that were refusals."""
        return [item for item in self.answered if item.ruling.answer == "refuse"]


__all__ = ["Answer", "FailedLooks", "Prompt", "RetryLimit", "Turn"]
