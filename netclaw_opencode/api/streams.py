"""A task whose events are followed while it runs, with and without an event loop.

Owns the buffer between the task and its reader, and the end of a block: what still runs then is cancelled, and the block is
left when that is verified.
"""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

from netclaw_opencode.api._calls import Call, Request
from netclaw_opencode.api._results import Result
from netclaw_opencode.errors import ActionFailed, DriverError, Interrupted, Stop

if TYPE_CHECKING:
    from anyio import CancelScope, Event
    from anyio.abc import TaskGroup

    from netclaw_opencode.api.events import TaskEvent
    from netclaw_opencode.host import Host
    from netclaw_opencode.host.running_call import RunningCall

R = TypeVar("R", bound=Result)

KEPT_EVENTS = 10_000
"""Events kept for a reader that is behind (some MB); beyond that the oldest are dropped, and counted."""


class _Stream(Generic[R]):
    """What both streams share: the buffer, and how the task ended."""

    def __init__(self, host: Host, request: Request[R], *, in_threads: bool) -> None:
        self._host = host
        self._name = request.action
        self._call = Call(request, in_threads=in_threads, on_event=self._put)
        self._events: deque[TaskEvent] = deque()
        self._entered = False
        self._ended = False
        self._result: R | None = None
        self._error: BaseException | None = None
        self.dropped = 0

    @property
    def stop(self) -> Stop | None:
        """What was seen while the task was stopped; None if it was not stopped, or had not begun."""
        return self._call.stop

    def _put(self, event: TaskEvent) -> None:
        if len(self._events) >= KEPT_EVENTS:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        raise NotImplementedError

    def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("a stream is entered once; start another one for another task")
        self._entered = True

    def _require_entered(self) -> None:
        if not self._entered:
            raise RuntimeError(
                f"enter the stream first: with … as task (in async code: async with … as task); {self._name} was not started"
            )

    async def _run(self) -> None:
        """Make the call and keep how it ended."""
        try:
            self._result = await self._call.run(self._host)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the reader's
            self._error = error
        finally:
            if self._result is None and self._error is None:
                self._error = Interrupted("cancelled", f"{self._name}: the block was left while it ran; what ran was stopped")
            self._ended = True
            self._wake()

    def _outcome(self) -> R:
        if self._error is not None:
            raise self._error
        assert self._result is not None  # a task without an error has a result
        return self._result

    def _unconfirmed(self) -> DriverError | None:
        """The error of a block that was left early, if the task is not seen stopped."""
        stop = self._call.stop
        if stop is None or stop.confirmed or not (isinstance(self._error, Interrupted) and self._error.code == "cancelled"):
            return None
        return ActionFailed(
            "abort_unconfirmed", f"{self._name} was cancelled, but it is not seen stopped", details={"active": list(stop.active)}
        )


class AsyncTaskStream(_Stream[R]):
    """A task that runs, for a program with an event loop.

    ``async with oc.stream_task(…) as task: async for event in task: …; result = await task.result()``. Events end when the task
    does. Leaving the block early stops the task, verified.

    Attributes:
        dropped: Events that were dropped because they were not read in time.
    """

    def __init__(self, host: Host, request: Request[R]) -> None:
        super().__init__(host, request, in_threads=False)
        self._changed: Event | None = None
        self._scope: CancelScope | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> AsyncTaskStream[R]:
        from anyio import CancelScope, Event, create_task_group

        self._enter()
        self._changed, self._scope = Event(), CancelScope()
        self._tasks = create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run_in_scope, name=self._name)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        from anyio import get_cancelled_exc_class

        assert self._tasks is not None  # entered
        assert self._scope is not None
        self._scope.cancel()
        if isinstance(error, get_cancelled_exc_class()):
            return await self._tasks.__aexit__(kind, error, trace)
        # The block's own error goes on as it is; the group would wrap it.
        await self._tasks.__aexit__(None, None, None)
        unconfirmed = self._unconfirmed()
        if unconfirmed is not None and error is None:
            raise unconfirmed
        if unconfirmed is not None and error is not None:
            error.add_note(str(unconfirmed))
        return None

    def __aiter__(self) -> AsyncTaskStream[R]:
        self._require_entered()
        return self

    async def __anext__(self) -> TaskEvent:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            await self._change()
        return self._events.popleft()

    async def result(self) -> R:
        """Wait for the end and return the result.

        Raises:
            DriverError: How the task failed; ``CallCancelledError`` if the block was left before its end.
        """
        self._require_entered()
        while not self._ended:
            await self._change()
        return self._outcome()

    async def _run_in_scope(self) -> None:
        assert self._scope is not None  # entered
        with self._scope:
            await self._run()

    async def _change(self) -> None:
        assert self._changed is not None  # entered
        await self._changed.wait()

    def _wake(self) -> None:
        from anyio import Event

        changed, self._changed = self._changed, Event()
        if changed is not None:
            changed.set()


class TaskStream(_Stream[R]):
    """A task that runs, for a program without an event loop.

    ``with oc.stream_task(…) as task: for event in task: …; result = task.result()``. Events end when the task does. Leaving the block
    early stops the task, verified.

    Attributes:
        dropped: Events that were dropped because they were not read in time.
    """

    def __init__(self, host: Host, request: Request[R]) -> None:
        super().__init__(host, request, in_threads=True)
        self._changed = threading.Condition()
        self._running: RunningCall[None] | None = None

    def __enter__(self) -> TaskStream[R]:
        self._enter()
        self._running = self._host.start(self._run, name=self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._running is not None  # entered
        self._running.cancel()
        unconfirmed = self._unconfirmed()
        if unconfirmed is not None and error is None:
            raise unconfirmed
        if unconfirmed is not None and error is not None:
            error.add_note(str(unconfirmed))

    def __iter__(self) -> TaskStream[R]:
        self._require_entered()
        return self

    def __next__(self) -> TaskEvent:
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._ended)
            if not self._events:
                raise StopIteration
            return self._events.popleft()

    def result(self) -> R:
        """Wait for the end and return the result.

        Raises:
            DriverError: How the task failed; ``CallCancelledError`` if the block was left before its end.
        """
        self._require_entered()
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
        return self._outcome()

    def _put(self, event: TaskEvent) -> None:
        with self._changed:
            super()._put(event)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


__all__ = ["AsyncTaskStream", "TaskStream"]
