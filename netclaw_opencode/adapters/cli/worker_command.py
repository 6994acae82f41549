"""The command ``worker``: runs the tasks of batches until it is told to end.

Owns its flags, its signals and its lines on stderr. What a worker does stands in ``batch/worker.py``; a host for each of its servers
comes from here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import click

from netclaw_opencode.adapters.cli.terminal import PROGRAM
from netclaw_opencode.errors import EXIT_DONE, DriverError, ServerProblem

if TYPE_CHECKING:
    from netclaw_opencode.batch.pool import Runner
    from netclaw_opencode.batch.worker import Worker, WorkerOptions
    from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.settings import Settings

SUMMARY = "Run the tasks of batches, several at once; SIGTERM lets what runs end, a second one gives it back."
_REPEAT_SECONDS = 60.0
"""A warning that comes again and again, such as that of a full disk, is shown so often."""
_FENCED = "it was held up for longer than its lease, and its tasks were taken over"


def command() -> click.Command:
    """Return the command for the tree."""
    positive = click.FloatRange(min=0.5, max=86400)
    return click.Command(
        "worker",
        callback=_worker,
        help=SUMMARY,
        params=[
            click.Option(["--concurrency"], type=click.IntRange(1, 1000), default=4, show_default=True, help="Tasks at once."),
            click.Option(["--until-done"], is_flag=True, help="End when nothing is left that this worker could do."),
            click.Option(["--batch"], metavar="BATCH_ID", help="Work on this batch alone."),
            click.Option(["--lease-seconds"], type=positive, default=20.0, show_default=True, help="A worker unseen for so long is lost."),
            click.Option(["--beat-seconds"], type=positive, default=5.0, show_default=True, help="How often a worker shows that it lives."),
            click.Option(
                ["--server-memory-mb"],
                type=click.IntRange(256, 1_000_000),
                default=1536,
                show_default=True,
                help="An OpenCode server that holds more is replaced, between tasks.",
            ),
        ],
    )


def _worker(
    concurrency: int,
    until_done: bool,  # noqa: FBT001 - click's names
    batch: str | None,
    lease_seconds: float,
    beat_seconds: float,
    server_memory_mb: int,
) -> int:
    from netclaw_opencode.adapters.cli.running import read_settings
    from netclaw_opencode.batch.database import Database

    if lease_seconds < 2 * beat_seconds:
        raise click.UsageError("--lease-seconds must be at least twice --beat-seconds: one late beat is no death")
    try:
        settings = read_settings()
        database = Database.of(settings)
        from netclaw_opencode.batch.worker import FencedError, WorkerOptions

        logging.getLogger("netclaw_opencode").addHandler(_Warnings(logging.WARNING))
        options = WorkerOptions(concurrency, until_done, batch, lease_seconds, beat_seconds, server_memory_mb * 1024 * 1024)
        try:
            _run(settings, options)
        except FencedError:
            raise ServerProblem("worker_failed", _FENCED, next=f"{PROGRAM} worker", details={"database": database.shown}) from None
    except DriverError as error:
        click.echo(f"{PROGRAM} worker: {error.code}: {error.message}; {error.next}", err=True)
        return error.exit_code
    return EXIT_DONE


class _Warnings(logging.Handler):
    """Shows what a worker has to say while it works on, in its lines on stderr."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._shown: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text, now = " ".join(record.getMessage().split()), time.monotonic()
        if now - self._shown.get(text, -_REPEAT_SECONDS) >= _REPEAT_SECONDS:
            self._shown = {text: now, **{known: at for known, at in self._shown.items() if now - at < _REPEAT_SECONDS and known != text}}
            click.echo(f"{PROGRAM} worker: {text}", err=True)


def _run(settings: Settings, options: WorkerOptions) -> None:
    import anyio

    from netclaw_opencode.adapters.cli.running import collect_garbage_again
    from netclaw_opencode.batch.database import Database
    from netclaw_opencode.batch.worker import FencedError, Worker

    async def work() -> None:
        worker = Worker(settings, Database.of(settings), options, open_runner=open_runner, listen=listen)
        click.echo(f"{PROGRAM} worker: {worker.name}, {options.concurrency} at once, on {worker.database.shown}", err=True)
        collect_garbage_again()
        async with anyio.create_task_group() as beside:
            beside.start_soon(_watch_signals, worker)
            try:
                await worker.run()
            except FencedError:
                # The calls that another worker follows now must not be cancelled here, as an orderly end would.
                click.echo(f"{PROGRAM} worker: worker_failed: {_FENCED}", err=True)
                os._exit(ServerProblem.exit_code)
            beside.cancel_scope.cancel()

    try:
        anyio.run(work)
    except BaseExceptionGroup as group:
        raise _only(group) from group


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _watch_signals(worker: Worker) -> None:
    import signal

    import anyio

    told = False
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        async for _ in received:
            if not told:
                click.echo(f"{PROGRAM} worker: ending; what runs may end (again: give it back)", err=True)
                await worker.drain()
            else:
                click.echo(f"{PROGRAM} worker: stopping what runs, for other workers to do", err=True)
                worker.give_back()
            told = True


@asynccontextmanager
async def open_runner(settings: Settings) -> AsyncIterator[Runner]:
    """A host on one server of the pool, with the plugins that are installed."""
    from netclaw_opencode.host import Host

    async with Host(settings, entry_points=True) as host:
        yield _HostRunner(host.invoke)


class _HostRunner:
    def __init__(self, invoke: Callable[[str, JsonObject], object]) -> None:
        self._invoke = invoke

    async def invoke(self, action: str, arguments: JsonObject) -> Mapping[str, object]:
        found: Mapping[str, object] = await self._invoke(action, arguments)  # type: ignore[misc]
        return found


class _Listener:
    """Hears the events of one call, and decides nothing."""

    answers_questions = False

    def __init__(self, tell: Callable[[ProgressEvent], None]) -> None:
        self.on_event = tell

    def decides(self, request: PendingRequest) -> bool:
        return False

    async def decide(self, request: PendingRequest) -> Decision | None:
        return None


@contextmanager
def listen(tell: Callable[[ProgressEvent], None]) -> Iterator[None]:
    """Hand the events of the calls in this block to ``tell``."""
    from netclaw_opencode.host.listener import listen as bind

    with bind(_Listener(tell)):
        yield


__all__ = ["SUMMARY", "command", "listen", "open_runner"]
