"""What a task changed: a snapshot of its directory before and after, and whose change each one is.

Owns the two moments, and the form of changes in results. The snapshots are ``work.snapshots``'; where none can be taken, what the
server tells stands, with a note that says why.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio.to_thread

from netclaw_opencode._core import time_budget
from netclaw_opencode._core.private_files import make_private_folder, sweep_files
from netclaw_opencode.driver import results
from netclaw_opencode.errors import ActionFailed, DriverError
from netclaw_opencode.settings import is_loopback
from netclaw_opencode.work import applying, changes, snapshots, stores
from netclaw_opencode.work.git import Git, GitError

if TYPE_CHECKING:
    from netclaw_opencode.driver.verdict import Span
    from netclaw_opencode.settings import Settings
    from netclaw_opencode.work.changes import ChangedFile, Changes, Patch
    from netclaw_opencode.work.ledger import Work
    from netclaw_opencode.work.snapshots import Snapshot

_BEFORE_SHARE = 0.1
"""The first snapshot takes a tenth of the task's time at most."""
_AFTER_SECONDS = results.GATHER_SECONDS
_COMMIT_SECONDS = 30.0
"""Time for the last look at isolated work and for its commit: its files are nowhere else."""
_MOST_TOLD = 200
"""Changed files that an error names."""
_MOST_PATCHES, _LONGEST_DAYS = 200, 30
_CONFINED_TOOLS = frozenset(
    {
        *("read", "glob", "grep", "list", "ls", "lsp", "todowrite", "todoread", "webfetch", "websearch", "codesearch", "question"),
        *("skill", "invalid", "StructuredOutput", "plan_enter", "plan_exit"),
        *("write", "edit", "patch", "apply_patch", "multiedit"),
    }
)
"""Tools that change no file but those that they name."""
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


@dataclass(slots=True)
class Report:
    """What a task changed, for its result or its error."""

    files: list[dict[str, object]]
    summary: dict[str, object]
    notes: list[str] = field(default_factory=list)
    patch: Patch | None = None
    found: Changes | None = None
    directory: str = ""

    def add_to(self, output: dict[str, object], *, notes: list[object]) -> None:
        """Put it into a result of the ``TURN`` shape; notes on what the server does not tell are not true any more."""
        if self.found is not None:
            output["files_changed"] = self.files
            notes = [note for note in notes if not str(note).startswith(results.NOTES_WITHOUT_SNAPSHOT)]
        output["changes"] = self.summary
        output["notes"] = [*notes, *self.notes]


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
    """

    def __init__(self, settings: Settings, *, list_ignored: bool = False, place: Place | None = None) -> None:
        self._settings = settings
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
    def was_asked(self) -> bool:
        """Whether a snapshot was to be taken before the turn, with or without success."""
        return bool(self._directory)

    async def begin(self, directory: str, *, server_url: str, left_seconds: float) -> None:
        """Take the first snapshot, once; what keeps it from being taken is told in the result.

        Args:
            directory: Where the agent will work.
            server_url: The server: only one on this machine works on these files.
            left_seconds: What is left of the task's time.
        """
        if self._before is not None or self._directory:
            return
        self._directory = directory
        if not is_loopback(server_url):
            self._problem = "the server is on another machine"
            return
        work = partial(snapshots.take, Path(directory), self._home, list_ignored=self._list_ignored)
        self._before = await self._run(lambda git: work(git), max(0.0, left_seconds * _BEFORE_SHARE))
        if self._before is not None and self._place is not None:
            self._place.begin(self._before)
        if self._before is not None:
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

    def require(self) -> None:
        """Refuse to go on without the first snapshot; raises ``ActionFailed`` (``work_failed``)."""
        if self._before is None:
            raise ActionFailed(
                "work_failed", f"no snapshot of the directory ({self._problem}), so no file can be protected; nothing was sent"
            )

    async def put_back(self, protects: Callable[[str], bool]) -> list[str]:
        """Give the files that a caller protects the content that they had, and return their paths.

        Raises:
            ActionFailed: ``work_failed``: they could not be put back, so nothing can be judged by them.
        """
        before = self._before
        if before is None:
            return []
        found = await self._run(lambda git: self._put_back(before, git, protects), time_budget.remaining_up_to(_COMMIT_SECONDS))
        if found is None:
            raise ActionFailed("work_failed", f"protected files could not be put back: {self._problem}")
        return found

    def _put_back(self, before: Snapshot, git: Git, protects: Callable[[str], bool]) -> list[str]:
        after = snapshots.retake(before, self._home, git)
        try:
            found = changes.compare(before, after)
            mine = [item for item in found.files if protects(self._shown(found, item.path)) or protects(changes.shown(item.path))]
            applying.restore(after.store, {item.path: (item.old_mode, item.old_id) for item in mine if item.kept})
            return [self._shown(found, item.path) for item in mine]
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

    def give_up(self, why: str) -> Report:
        """Return the report of a task whose beginning was not seen."""
        self._problem = why
        return self._without()

    async def end(self, span: Span | None) -> Report:
        """Take the second snapshot, and say what changed.

        Args:
            span: The turn, as far as it was seen: whose change it is, is told by its tools.
        """
        before = self._before
        if before is None:
            return self._without()
        others = max(self._others, stores.users_of(before.store))
        limit_seconds = _AFTER_SECONDS if self._place is None else _COMMIT_SECONDS
        found = await self._run(lambda git: self._compare(before, git, span), time_budget.remaining_up_to(limit_seconds))
        if found is None:
            return self._without()
        return self._report(*found, span=span, others=others)

    def close(self) -> None:
        """Let go of the first snapshot."""
        if self._before is not None:
            with suppress(OSError):
                snapshots.forget(self._before)

    def _without(self) -> Report:
        note = f"no snapshot of the directory ({self._problem}): of what changed, only what OpenCode tells is known"
        return Report([], {"method": "tools"}, [note])

    def _compare(self, before: Snapshot, git: Git, span: Span | None) -> tuple[Changes, Patch | None, list[str]]:
        after = snapshots.retake(before, self._home, git)
        try:
            found = changes.compare(before, after)
            mine, others = self._of_task(found, span)
            patch = None
            if mine.files:
                folder = make_private_folder(self._settings.state_dir, "patches")
                mine, patch = changes.write_patch(mine, folder / f"{time.time_ns() // 10**9}-{secrets.token_hex(4)}.patch")
                sweep_files(folder, "*.patch", most=_MOST_PATCHES, longest_days=_LONGEST_DAYS)
            self._last_tree = after
            if self._place is not None:
                self._place.finish(before, after, patch, git)
            return mine, patch, others
        finally:
            snapshots.forget(after)

    def _of_task(self, found: Changes, span: Span | None) -> tuple[Changes, list[str]]:
        """Return the changes that can be the task's, and the paths of those that cannot: no tool of the agent has touched them."""
        if span is None or self._place is not None or _may_change_anything(span):
            return found, []
        written = self._written(span)
        mine = frozenset(item.path for item in found.files if self._real(found, item.path) in written)
        return found.only(mine), [self._shown(found, item.path) for item in found.files if item.path not in mine]

    def _written(self, span: Span) -> set[str]:
        """Real paths of the files that file tools wrote."""
        return {os.path.realpath(Path(self._directory, change.path)) for step in span.steps for change in step.changes}

    def _real(self, found: Changes, path: bytes) -> str:
        return os.path.realpath(os.fsdecode(os.fsencode(found.root) + b"/" + path))

    def _shown(self, found: Changes, path: bytes) -> str:
        """Return a path as results have it: from the working directory on, if it lies in it."""
        whole = os.fsencode(found.root) + b"/" + path
        return changes.shown(whole.removeprefix(os.fsencode(self._directory) + b"/"))

    def _report(self, found: Changes, patch: Patch | None, other_paths: list[str], *, span: Span | None, others: int) -> Report:
        written = self._written(span) if span is not None else set()
        files = []
        for item in found.files:
            by = "tool" if self._real(found, item.path) in written else "command"
            files.append(self._to_wire(found, item, by=by))
        summary: dict[str, object] = {
            "method": "snapshot",
            "root": str(found.root),
            "base_tree": found.before.tree,
            "final_tree": found.after.tree,
            "files": len(files),
            "additions": sum(item.additions for item in found.files),
            "deletions": sum(item.deletions for item in found.files),
            "ignored": found.after.ignored,
            "elapsed_seconds": round(found.before.seconds + found.after.seconds, 3),
        }
        if patch is not None:
            summary["patch"] = {"path": str(patch.path), "sha256": patch.sha256, "bytes": patch.size}
            if patch.left_out:
                summary["not_in_patch"] = [self._shown(found, path) for path in patch.left_out]
        if other_paths:
            summary["others"] = other_paths
        if found.before.ignored_files is not None:
            summary["ignored_changed"] = self._ignored(found)
        return Report(files, summary, self._notes(found, files, other_paths, others), patch, found, self._directory)

    def _notes(self, found: Changes, files: list[dict[str, object]], other_paths: list[str], others: int) -> list[str]:
        notes = []
        if other_paths:
            notes.append(f"{len(other_paths)} file(s) changed meanwhile that no tool of this task touched; changes.others names them")
        if others and any(item["by"] == "command" for item in files):
            notes.append("another task worked in the same folder meanwhile: files_changed with by: command may be its work")
        long = [str(item["path"]) for item in files if not (item["diff"] or item.get("binary")) and item["additions"]]
        if long:
            told = f"a diff of more than {changes.LONGEST_DIFF // 1024} KiB stands in the patch alone"
            notes.append(f"{told}: {', '.join(long[:5])}{' …' if len(long) > 5 else ''}")
        if self._place is not None and self._place.problem is not None:
            notes.append(f"the work was not committed ({self._place.problem}); its files are in {self._place.work.tree}")
        if found.after.unread:
            notes.append(f"could not be read: {', '.join(map(changes.shown, found.after.unread[:5]))}")
        return notes

    def _ignored(self, found: Changes) -> list[dict[str, object]]:
        before, after = found.before.ignored_files or {}, found.after.ignored_files or {}
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        return [
            {
                "path": self._shown(found, path),
                "status": "added" if path not in before else "deleted" if path not in after else "modified",
            }
            for path in changed
        ]

    def _to_wire(self, found: Changes, item: ChangedFile, *, by: str) -> dict[str, object]:
        wire: dict[str, object] = {
            "path": self._shown(found, item.path),
            "status": item.status,
            "additions": item.additions,
            "deletions": item.deletions,
            "diff": item.diff,
            "by": by,
        }
        if item.binary:
            wire["binary"] = True
        if item.old_mode and item.new_mode and item.old_mode != item.new_mode:
            wire |= {"old_mode": item.old_mode, "new_mode": item.new_mode}
        for name, path in (("renamed_from", item.renamed_from), ("renamed_to", item.renamed_to)):
            if path is not None:
                wire[name] = self._shown(found, path)
        return wire


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


def details_of(report: Report) -> dict[str, object]:
    """Return the changes in an error's details: names without diffs, where the patch is, and what is not known of them."""
    details: dict[str, object] = {"changes": report.summary}
    if report.found is not None:
        details["files_changed"] = [{name: item[name] for name in ("path", "status", "by")} for item in report.files[:_MOST_TOLD]]
    if report.notes:
        details["notes"] = report.notes
    return details


def _may_change_anything(span: Span) -> bool:
    """Return whether a tool ran that could have written anywhere: a command, a sub-agent, a tool of a plugin or of an MCP server."""
    return any(use.tool not in _CONFINED_TOOLS for step in span.steps for use in step.tools)


__all__ = ["ChangeWatch", "Report", "details_of", "find_git", "home_of", "watched"]
