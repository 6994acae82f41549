"""Isolated work around a task: prepared before its session, proved to be where it works, finished with it, brought in on request.

Owns what a task needs to know of it. How a tree is made, committed and applied is ``work.isolating``'s.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions.changed_files import find_git, home_of
from netclaw_opencode.driver import proving
from netclaw_opencode.errors import ActionFailed, DriverError, InvalidInput
from netclaw_opencode.opencode.directories import Places
from netclaw_opencode.opencode.trust import Trust
from netclaw_opencode.settings import is_loopback
from netclaw_opencode.work import isolating
from netclaw_opencode.work.git import Git, GitError
from netclaw_opencode.work.isolating import Bench, Wish
from netclaw_opencode.work.ledger import Ledger
from netclaw_opencode.work.snapshots import TooLargeError

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection
    from netclaw_opencode.opencode.wire.types import Session
    from netclaw_opencode.settings import Settings
    from netclaw_opencode.work.changes import Patch
    from netclaw_opencode.work.isolating import Applied
    from netclaw_opencode.work.keyed import Keyed
    from netclaw_opencode.work.ledger import Work
    from netclaw_opencode.work.snapshots import Snapshot
    from netclaw_opencode.work.stores import Home

T = TypeVar("T")
_OPTIONS = ("base", "carry_changes", "link_paths", "copy_paths", "apply")
APPLY_SECONDS = 60.0
"""Time for bringing work in, beyond its task: half of it written is no end."""


def bench_of(settings: Settings, limit_seconds: float) -> Bench:
    """Return what work is done with, for so long.

    Raises:
        ActionFailed: ``work_failed``: there is no git.
    """
    git = find_git(settings, limit_seconds)
    if git is None:
        raise ActionFailed("work_failed", "isolated work needs git, and none was found on PATH; nothing was made", next="install git")
    return Bench(Ledger(settings.state_dir), git, home_of(settings))


async def in_thread(work: Callable[[], T]) -> T:
    """Run a step of isolated work to its end, whoever goes away meanwhile: it has bounds of its own.

    Raises:
        ActionFailed: ``work_failed``, with git's or the system's reason.
    """
    # Not abandoned on a cancellation: then it is waited for.
    return await anyio.to_thread.run_sync(lambda: _told(work))


def _told(work: Callable[[], T]) -> T:
    try:
        return work()
    except (GitError, TooLargeError) as error:
        raise ActionFailed("work_failed", f"{error}") from error
    except OSError as error:
        raise ActionFailed("work_failed", f"{error.filename or 'a file'}: {error.strerror or error}") from error


class Place:
    """Where the agent works instead of the caller's folder."""

    def __init__(self, bench: Bench, work: Work, settings: Settings, *, joins: bool = False) -> None:
        self._bench = bench
        self._settings = settings
        self.work = work
        self.joins = joins
        """Whether an earlier call with the same key made it."""
        self.sent = bool(work.session_id)
        """Whether an agent may have worked in it."""
        self.problem: str | None = None
        """What kept it from being committed."""

    @property
    def directory(self) -> str:
        """The directory of its sessions."""
        return str(self.work.path)

    @property
    def home(self) -> Home:
        """Where its snapshots are kept: with it."""
        return self._bench.home_of(self.work)

    def places(self) -> Places:
        """Return the places that are allowed, with this one."""
        allowed = Places.from_settings(self._settings)
        return replace(allowed, roots=(*allowed.roots, Path(self.work.tree))) if allowed.roots else allowed

    def begin(self, before: Snapshot) -> None:
        """Write down what it looks like before the agent begins."""
        self.work = self._bench.ledger.change(self.work, base_tree=before.tree)

    async def prove(self, connection: Connection, session: Session) -> None:
        """Refuse to go on, unless the server works in this very tree; from here on the agent may have worked in it."""
        tree = self.work.tree if self.work.isolation == "worktree" else None
        await proving.require_directory(connection, session, directory=self.directory, worktree=tree)
        self.work = self._bench.ledger.change(self.work, session_id=session.id)
        self.sent = True

    def finish(self, before: Snapshot, after: Snapshot, patch: Patch | None, git: Git) -> None:
        """Commit what was done; a failure is told, and its files stay."""
        bench = replace(self._bench, git=git)
        title = f"netclaw-opencode: session {self.work.session_id or 'unknown'}"
        try:
            self.work = isolating.finish(bench, self.work, before, after, message=title)
            if patch is not None:
                self.work = isolating.keep_patch(bench, self.work, patch.path)
        except (GitError, DriverError, OSError) as error:
            self.problem = str(error)

    def end(self, *, waits: bool) -> None:
        """Write down that its task is over, or waits for an answer."""
        self.work = self._bench.ledger.change(self.work, state="waiting" if waits else "finished")

    async def apply(self) -> tuple[dict[str, object], list[str]]:
        """Bring it into the caller's folder and remove it; its wire form, and notes."""
        bench = bench_of(self._settings, APPLY_SECONDS)
        self.work, applied = await in_thread(lambda: isolating.apply(bench, self.work))
        notes = notes_of(applied)
        removed = not applied.left
        if removed:
            await in_thread(lambda: _removed(bench, self.work, self._settings))
        return to_wire(self.work) | {"applied": list(applied.files), "merged": list(applied.merged), "removed": removed}, notes


def _removed(bench: Bench, work: Work, settings: Settings) -> None:
    isolating.discard(bench, work, force=False)
    Trust.from_settings(settings).revoke(work.tree)


def notes_of(applied: Applied) -> list[str]:
    """Return what a careful reader should know of what was brought in."""
    if not applied.left:
        return []
    return [f"larger than a snapshot keeps, so still only in the work's own folder: {', '.join(applied.left)}"]


def to_wire(work: Work) -> dict[str, object]:
    """Return the form of a work in results."""
    wire: dict[str, object] = {
        "work_id": work.id,
        "isolation": work.isolation,
        "state": work.state,
        "source": work.source,
        "path": str(work.path),
        "created_at": work.created_at,
    }
    given = {name: getattr(work, name) for name in ("branch", "base", "base_commit", "commit", "patch", "session_id")}
    return wire | {name: value for name, value in given.items() if value}


def read_wish(arguments: JsonObject) -> Wish | None:
    """Return how the caller wants the work to be isolated; None for not at all.

    Raises:
        InvalidInput: Options that have nothing to stand on, or do not go together.
    """
    isolation = read.text(arguments, "isolation") or "none"
    if isolation == "none":
        given = [name for name in _OPTIONS if arguments.get(name)]
        if given:
            raise InvalidInput("invalid_input", f"{', '.join(given)}: only for isolation: worktree or copy")
        return None
    if "parent_id" in arguments:
        raise InvalidInput("invalid_input", f"isolation: {isolation} does not go with parent_id: a fork works where its parent did")
    return Wish(
        "copy" if isolation == "copy" else "worktree",
        base=read.text(arguments, "base") or "HEAD",
        carry_changes=read.flag(arguments, "carry_changes"),
        link=tuple(read.texts(arguments, "link_paths")),
        copy=tuple(read.texts(arguments, "copy_paths")),
    )


@asynccontextmanager
async def isolated(
    arguments: JsonObject, context: ActionContext, *, ends: float, known: Keyed | None = None
) -> AsyncIterator[Place | None]:
    """A block whose task works in a tree of its own, if the caller wants that: with a key, in the tree of the call before.

    Where the task fails before anything was sent, nothing is left; later, its work is kept, and the error says where.
    """
    wish = read_wish(arguments)
    if wish is None:
        yield None
        return
    settings = context.settings
    source = Path(read.workplace(arguments, settings))
    connection = await context.driver.connect()
    if not is_loopback(connection.http.url):
        raise InvalidInput("invalid_input", "isolation needs a server on this machine: another one does not see the tree")
    bench = bench_of(settings, max(1.0, ends - context.clock()))
    work, joins = await in_thread(lambda: _entered(bench, source, wish, known))
    with bench.ledger.held(work.id):
        place = Place(bench, work, settings, joins=joins)
        try:
            await in_thread(lambda: _extend_trust(settings, work))
            yield place
        except BaseException as error:
            await _fail(place, bench, error, settings)
            raise


def _entered(bench: Bench, source: Path, wish: Wish, known: Keyed | None) -> tuple[Work, bool]:
    """The work of this task, and whether an earlier call with the same key made it."""
    found = isolating.find(bench, known.work_id) if known is not None else None
    if found is not None:
        return found, True
    return isolating.prepare(bench, source, wish, work_id=known.work_id if known is not None else None), False


async def apply_later(work_id: str, settings: Settings) -> tuple[dict[str, object], list[str]] | None:
    """Bring in the work of a task that had ended before; None where it is not there any more."""
    bench = bench_of(settings, APPLY_SECONDS)
    try:
        work = bench.ledger.read(work_id)
    except ActionFailed as error:
        if error.code != "work_not_found":
            raise
        return None
    with bench.ledger.held(work_id):
        return await Place(bench, work, settings, joins=True).apply()


async def _fail(place: Place, bench: Bench, error: BaseException, settings: Settings) -> None:
    if not place.sent:
        quick = replace(bench, git=replace(bench.git, ends=time.monotonic() + APPLY_SECONDS))
        with anyio.CancelScope(shield=True):
            await in_thread(lambda: _discarded(quick, place, settings))
        return
    if isinstance(error, DriverError):
        if place.work.state in ("running", "preparing"):
            place.work = bench.ledger.change(place.work, state="failed")
        error.details["work"] = to_wire(place.work)


def _discarded(bench: Bench, place: Place, settings: Settings) -> None:
    isolating.discard(bench, place.work, force=True)
    Trust.from_settings(settings).revoke(place.work.tree)


def _extend_trust(settings: Settings, work: Work) -> None:
    """Trust in the tree what its user has trusted in the source: the same files with the same content."""
    trust = Trust.from_settings(settings)
    found = trust.find(work.tree)
    if not found:
        return
    trusted = {item.path: item.digest for item in Trust.from_settings(settings).find(work.source)}
    same = tuple(item for item in found if trusted.get(_counterpart(item.path, work) or item.path) == item.digest)
    if same:
        # The source itself has just passed the same question.
        trust.grant(work.tree, same)


def _counterpart(path: Path, work: Work) -> Path | None:
    return Path(work.root, path.relative_to(work.tree)) if path.is_relative_to(work.tree) else None


__all__ = ["APPLY_SECONDS", "Place", "apply_later", "bench_of", "in_thread", "isolated", "notes_of", "read_wish", "to_wire"]
