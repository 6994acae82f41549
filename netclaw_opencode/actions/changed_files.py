"""What a task changed: a snapshot of its directory before and after.

Owns the two moments. The snapshots are ``work.snapshots``', the form of changes in results is ``change_report``'s; where no snapshot can be
taken, what the server tells stands, with a note that says why.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio.to_thread

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.private_files import make_private_folder, sweep_files
from netclaw_opencode.actions.change_report import Report, Told, changed_ms, details_of
from netclaw_opencode.driver import results
from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.settings import is_loopback
from netclaw_opencode.work import applying, changes, snapshots, stores
from netclaw_opencode.work.git import Git, GitError

if TYPE_CHECKING:
    from netclaw_opencode.driver.verdict import Span
    from netclaw_opencode.settings import Settings
    from netclaw_opencode.work.changes import Patch
    from netclaw_opencode.work.keyed import Keyed
    from netclaw_opencode.work.ledger import Work
    from netclaw_opencode.work.snapshots import Snapshot

_BEFORE_SHARE = 0.1
"""The first snapshot takes a tenth of the task's time at most."""
_AFTER_SECONDS = results.GATHER_SECONDS
_COMMIT_SECONDS = 30.0
"""Time for the last look at isolated work and for its commit: its files are nowhere else."""
_MOST_PATCHES, _LONGEST_DAYS = 200, 30
T = TypeVar("T")


class Place(Protocol):
    """Isolated work in which a task is done (``isolation.Place``)."""

    work: Work
    problem: str | None

    @property
    def home(self) -> stores.Home:
        """Where its snapshots are kept."""

    def begin(self, before: Snapshot) -> None:
        """Take note of what it looks like before the agent begins."""

    def finish(self, before: Snapshot, after: Snapshot, patch: Patch | None, git: Git) -> None:
        """Commit what was done."""


def home_of(settings: Settings) -> stores.Home:
    """Return where snapshots are kept, and whose git settings count."""
    config_home = settings.environ.get("XDG_CONFIG_HOME", "")
    return stores.Home(settings.state_dir, settings.home, Path(config_home) if config_home.startswith("/") else None)


def find_git(settings: Settings, limit_seconds: float) -> Git | None:
    """Return the git on PATH, with an end to whatever it runs."""
    environ = settings.environ
    return Git.find(environ if environ.get("PATH") else None, ends=time.monotonic() + limit_seconds)


class ChangeWatch:
    """A directory before and after a task.

    Args:
        settings: Where the state folder is.
        list_ignored: Whether changed files are told that git ignores.
        place: Isolated work, if the task is done in that: nobody else works there, and what was done is committed at the end.
        known: What is known of the task, if it has an idempotency key: a later call begins with the same first snapshot.
    """

    def __init__(self, settings: Settings, *, list_ignored: bool = False, place: Place | None = None, known: Keyed | None = None) -> None:
        self._settings = settings
        self._known = known
        self._list_ignored = list_ignored
        self._place = place
        self._home = place.home if place is not None else home_of(settings)
        self._before: Snapshot | None = None
        self._others = 0
        self._directory = ""
        self._last_tree: Snapshot | None = None
        self._problem = "it was not begun"

    @property
    def began(self) -> bool:
        """Whether there is a snapshot from before."""
        return self._before is not None

    @property
    def problem(self) -> str | None:
        """What kept the first snapshot from being taken."""
        return None if self.began else self._problem

    @property
    def was_asked(self) -> bool:
        """Whether a snapshot was to be taken before the turn, with or without success."""
        return bool(self._directory)

    async def begin(self, directory: str, *, server_url: str, left_seconds: float, joins: bool = False) -> None:
        """Take the first snapshot, once; what keeps it from being taken is told in the result.

        Args:
            directory: Where the agent will work.
            server_url: The server: only one on this machine works on these files.
            left_seconds: What is left of the task's time.
            joins: Whether the agent may have worked there already: then it is the first snapshot of the call that began.
        """
        if self._before is not None or self._directory:
            return
        kept = self._known.record.base if self._known is not None and joins else None
        if joins and kept is None:
            self._problem = "this call joined a task that had begun before"
            return
        self._directory = directory
        if not is_loopback(server_url):
            self._problem = "the server is on another machine"
            return
        if kept is not None:
            work = partial(snapshots.recall, kept, Path(directory), self._home)
        else:
            work = partial(snapshots.take, Path(directory), self._home, list_ignored=self._list_ignored)
        self._before = await self._run(lambda git: work(git), max(0.0, left_seconds * _BEFORE_SHARE))
        if self._place is not None and not joins:
            # Without it nothing could be committed or applied.
            self.require("isolated work needs one")
        if self._before is None:
            return
        if self._place is not None:
            self._place.begin(self._before)
        if self._known is not None and kept is None:
            self._known.note(base=snapshots.describe(self._before), report=None, judged=None, checked=None)
        self._others = stores.users_of(self._before.store)
        with suppress(OSError):
            stores.sweep(self._home)

    async def _run(self, work: Callable[[Git], T], limit_seconds: float) -> T | None:
        """Run git's part in a thread of its own, with an end."""
        git = find_git(self._settings, limit_seconds)
        if git is None:
            self._problem = "git was not found on PATH"
            return None
        try:
            # Bounded by the time given to git; a caller that goes away does not wait for it.
            return await anyio.to_thread.run_sync(work, git, abandon_on_cancel=True)
        except (GitError, snapshots.TooLargeError, ActionFailed, OSError) as error:
            self._problem = str(error)
            return None

    def require(self, why: str = "without one no file can be protected") -> Snapshot:
        """Return the first snapshot; raises ``ActionFailed`` (``work_failed``) if there is none."""
        if self._before is None:
            raise ActionFailed("work_failed", f"no snapshot of the directory ({self._problem}), and {why}; nothing was sent")
        return self._before

    async def put_back(self, protects: Callable[[str], bool], *, until_ms: float | None = None) -> list[str]:
        """Give the files that a caller protects the content that they had, and return their paths.

        Args:
            protects: Says of a path whether the file is protected.
            until_ms: When the agent ended, in epoch milliseconds, if that is some time ago: what was written later is not its work.

        Raises:
            ActionFailed: ``work_failed``: they could not be put back, so nothing can be judged by them.
        """
        before = self._before
        if before is None:
            return []
        found = await self._run(lambda git: self._put_back(before, git, protects, until_ms), time_budget.remaining_up_to(_COMMIT_SECONDS))
        if found is None:
            raise ActionFailed("work_failed", f"protected files could not be put back: {self._problem}")
        return found

    def _put_back(self, before: Snapshot, git: Git, protects: Callable[[str], bool], until_ms: float | None) -> list[str]:
        after = snapshots.retake(before, self._home, git)
        try:
            told = Told(changes.compare(before, after), self._directory)
            mine = [item for item in told.found.files if protects(told.shown(item.path)) or protects(changes.shown(item.path))]
            mine = [item for item in mine if until_ms is None or changed_ms(told.found.root, item.path) <= until_ms]
            applying.restore(after.store, {item.path: (item.old_mode, item.old_id) for item in mine if item.kept})
            return [told.shown(item.path) for item in mine]
        finally:
            snapshots.forget(after)

    async def clean_up(self) -> None:
        """Take what a check left in isolated work out again: it is nobody's work. Elsewhere it is the caller's own."""
        before, last = self._before, self._last_tree
        if self._place is None or before is None or last is None:
            return
        await self._run(lambda git: self._clean_up(before, last, git), time_budget.remaining_up_to(_COMMIT_SECONDS))

    def _clean_up(self, before: Snapshot, last: Snapshot, git: Git) -> bool:
        after = snapshots.retake(before, self._home, git)
        try:
            found = changes.compare(last, after)
            applying.restore(after.store, {item.path: (item.old_mode, item.old_id) for item in found.files if item.kept})
        finally:
            snapshots.forget(after)
        return True

    async def clean_up_left(self) -> None:
        """Do the same for a check whose caller was killed: what it left stands beside what it was shown."""
        kept = self._known.record.judged if self._known is not None else None
        if kept is None or self._before is None:
            return
        self._last_tree = snapshots.as_described(self._before, kept)
        await self.clean_up()

    async def end_joined(self, span: Span | None, *, server_url: str, directory: str, until_ms: float | None = None) -> Report:
        """Return what a task changed that another call began: what that call has told, or what differs from its first snapshot.

        Args:
            span: The turn, as far as it was seen.
            server_url: The server.
            directory: Where the agent worked.
            until_ms: When the turn ended, in epoch milliseconds, if nobody looked then: what was written later is not the task's.
        """
        if self._known is not None:
            self._known.read()
            if self._known.record.report is not None:
                return Report.of_record(self._known.record.report)
        await self.begin(directory, server_url=server_url, left_seconds=_AFTER_SECONDS / _BEFORE_SHARE, joins=True)
        return await self.end(span, until_ms=until_ms)

    async def end(self, span: Span | None, *, until_ms: float | None = None) -> Report:
        """Take the second snapshot, and say what changed.

        Args:
            span: The turn, as far as it was seen: whose change it is, is told by its tools.
            until_ms: As for ``end_joined``.
        """
        before = self._before
        if before is None:
            return self._without()
        others = max(self._others, stores.users_of(before.store))
        limit_seconds = _AFTER_SECONDS if self._place is None else _COMMIT_SECONDS
        found = await self._run(lambda git: self._compare(before, git, span, until_ms), time_budget.remaining_up_to(limit_seconds))
        if found is None:
            return self._without()
        told, patch, other_paths = found
        place = self._place
        problem = f"{place.problem}); its files are in {place.work.tree}" if place is not None and place.problem is not None else None
        return told.report(patch, other_paths, others=others, problem=problem)

    def close(self) -> None:
        """Let go of the first snapshot."""
        if self._before is not None:
            with suppress(OSError):
                snapshots.forget(self._before)

    def _without(self) -> Report:
        note = f"no snapshot of the directory ({self._problem}): of what changed, only what OpenCode tells is known"
        return Report([], {"method": "tools"}, [note])

    def _compare(self, before: Snapshot, git: Git, span: Span | None, until_ms: float | None) -> tuple[Told, Patch | None, list[str]]:
        after = snapshots.retake(before, self._home, git)
        try:
            told = Told(changes.compare(before, after), self._directory, span, isolated=self._place is not None, until_ms=until_ms)
            mine, others = told.split()
            patch = None
            if mine.files:
                folder = make_private_folder(self._settings.state_dir, "patches")
                mine, patch = changes.write_patch(mine, folder / f"{time.time_ns() // 10**9}-{secrets.token_hex(4)}.patch")
                sweep_files(folder, "*.patch", most=_MOST_PATCHES, longest_days=_LONGEST_DAYS)
            self._last_tree = after
            if self._place is not None:
                self._place.finish(before, after, patch, git)
                if self._known is not None and self._before is not None:
                    self._known.note(judged=snapshots.describe(after))
            return replace(told, found=mine), patch, others
        finally:
            snapshots.forget(after)


@asynccontextmanager
async def watched(watch: ChangeWatch) -> AsyncIterator[ChangeWatch]:
    """A block in which a turn runs; what one that failed had changed is put into its error."""
    try:
        yield watch
    except DriverError as error:
        if watch.was_asked and error.message_id is not None:
            error.details |= details_of(await watch.end(None))
        raise
    finally:
        watch.close()


__all__ = ["ChangeWatch", "Report", "details_of", "find_git", "home_of", "watched"]
