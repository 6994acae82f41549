"""A batch that is followed task by task, with and without an event loop.

Owns the order: submit, then hand out each task that has ended, once, until there is no more. The batch outlives whoever follows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from netclaw_opencode.api._calls import Call, Request, perform
from netclaw_opencode.errors import ActionFailed, ServerProblem

if TYPE_CHECKING:
    from netclaw_opencode.api.results import BatchItem, RunBatchResult
    from netclaw_opencode.host import Host

_PAGE = 100
_FILES = ("results_file", "predictions", "results_folder")
_NOT_SUBMITTED = ("wait_seconds", *_FILES)
_EXPORT_SECONDS = 10.0
"""Files are written this seldom while a batch is followed, and at its end."""
_COMING_SECONDS = 10
_STARTS = 3
"""So often the batch is submitted anew, which starts a worker, where no worker lives."""


class _Following:
    """Where the reader is; ``page`` goes on from there."""

    def __init__(self, host: Host, arguments: Mapping[str, object]) -> None:
        self._host = host
        self._arguments = {name: value for name, value in arguments.items() if name not in _NOT_SUBMITTED}
        self._files = {name: arguments[name] for name in _FILES if name in arguments}
        self._export_at = monotonic() + _EXPORT_SECONDS
        self._batch: str | None = None
        self._after = 0
        self._cursor: str | None = None
        self._starts = 0
        self._ended = False

    async def page(self) -> tuple[BatchItem, ...]:
        """Wait for tasks that have ended since; none where the batch has."""
        from netclaw_opencode.api.results import BatchItem

        if self._batch is None:
            await self._submit()
        while True:
            # Asked first: what ends between the two answers is read by the second one.
            summary = await self._summary()
            found = await perform(self._host, "get_batch_results", {"batch_id": self._batch, "after": self._after, "limit": _PAGE})
            self._after = int(str(found["next_after"]))
            results = found["results"]
            ended = not results and (summary["done"] or self._ended)
            await self._export(final=bool(ended))
            if isinstance(results, list) and results:
                return tuple(BatchItem.from_dict(each) for each in results)
            if ended:
                return ()
            await self._wait()

    async def _submit(self) -> None:
        self._batch = str((await perform(self._host, "submit_batch", self._arguments))["batch_id"])
        self._starts += 1

    async def _summary(self) -> dict[str, object]:
        return await perform(self._host, "get_batch", {"batch_id": self._batch})

    async def _export(self, *, final: bool) -> None:
        """Write the files that were asked for, now and then."""
        if self._files and (final or monotonic() >= self._export_at):
            began = monotonic()
            await perform(self._host, "export_batch", {"batch_id": self._batch, **self._files})
            # What is written anew as a whole takes a twentieth of the time at most.
            self._export_at = monotonic() + max(_EXPORT_SECONDS, 20 * (monotonic() - began))

    async def _wait(self) -> None:
        from anyio import sleep

        # A first cursor that fits nothing: the wait returns at once, with the one to wait from.
        arguments = {"batch_id": self._batch, "cursor": self._cursor or "new"}
        seen = await perform(self._host, "wait_for_batch", arguments)
        self._cursor = str(seen["cursor"])
        if seen["done"]:
            return
        if seen["state"] in ("halted", "cancelled"):
            await self._export(final=True)
            raise ActionFailed(
                "batch_halted",
                f"the batch {self._batch} was {seen['state']} ({seen.get('halted', 'on purpose')}) before all of its tasks had ended",
                next=str(seen["next"]),
                details={"batch_id": self._batch, "state": seen["state"]},
            )
        if seen["workers"] == 0 and seen["state"] == "running":
            # A worker that was started comes up within seconds; one that died is started again.
            await sleep(2.0)
            if (await self._summary())["workers"] == 0 and self._arguments.get("start_worker", True):
                if self._starts == _STARTS:
                    raise ServerProblem("worker_failed", f"no worker stays for the batch {self._batch}", details={"batch_id": self._batch})
                await self._submit()
        elif seen["state"] == "paused":
            await sleep(1.0)

    async def _replace_worker(self) -> None:
        """Start a worker in place of one that has died; raises ``ServerProblem`` where none stays."""
        from anyio import sleep

        # The first wait returns at once, and a worker that was just started shows itself after seconds.
        for _ in range(_COMING_SECONDS):
            if (await self._summary())["workers"] or not self._arguments.get("start_worker", True):
                return
            await sleep(1.0)
        if self._starts == _STARTS:
            raise ServerProblem("worker_failed", f"no worker stays for the batch {self._batch}", details={"batch_id": self._batch})
        await self._submit()


class AsyncBatchRun:
    """A batch, for a program with an event loop.

    ``async for item in oc.run_batch(items)`` yields each task as it ends; ``await oc.run_batch(items)`` returns at the end. Nothing
    is submitted before.
    """

    def __init__(self, host: Host, request: Request[RunBatchResult]) -> None:
        self._host = host
        self._request = request

    def __await__(self) -> Generator[Any, Any, RunBatchResult]:
        return Call(self._request, in_threads=False).run(self._host).__await__()

    async def __aiter__(self) -> AsyncIterator[BatchItem]:
        following = _Following(self._host, self._request.arguments)
        while items := await following.page():
            for item in items:
                yield item


class BatchRun:
    """A batch, for a program without an event loop: ``for item in oc.stream_batch(items)`` yields each task as it ends."""

    def __init__(self, host: Host, request: Request[RunBatchResult]) -> None:
        self._following = _Following(host, request.arguments)
        self._host = host
        self._items: deque[BatchItem] = deque()

    def __iter__(self) -> Iterator[BatchItem]:
        return self

    def __next__(self) -> BatchItem:
        if not self._items:
            self._items.extend(self._host.start(self._following.page, name="run_batch").result())
        if not self._items:
            raise StopIteration
        return self._items.popleft()


__all__ = ["AsyncBatchRun", "BatchRun"]
