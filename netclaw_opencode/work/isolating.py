"""Isolated work from its beginning to its end: prepared, finished, applied, discarded, looked at.

Owns the order of these steps and what is written down before each, so that a call that is killed in the middle leaves work that is
listed and can be gone on with.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from netclaw_opencode._core.private_files import make_private_folder
from netclaw_opencode.errors import ActionFailed, InvalidInput, Refused
from netclaw_opencode.work import applying, copies, repositories, snapshots, worktrees
from netclaw_opencode.work.changes import shown
from netclaw_opencode.work.git import Git, GitError, Store, write_repository
from netclaw_opencode.work.ledger import Ledger, Work
from netclaw_opencode.work.repositories import Repository
from netclaw_opencode.work.snapshots import Snapshot, TooLargeError
from netclaw_opencode.work.stores import Home

_BRANCH = "netclaw/"


@dataclass(frozen=True, slots=True)
class Wish:
    """How a caller wants work to be isolated.

    Attributes:
        isolation: The kind.
        base: The commit that a worktree begins with.
        carry_changes: Whether what no commit holds yet is carried over.
        link: Paths of the source that are linked into the tree.
        copy: Paths of the source that are copied into it.
    """

    isolation: Literal["worktree", "copy"]
    base: str = "HEAD"
    carry_changes: bool = False
    link: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bench:
    """What isolated work is done with: the ledger, git, and whose settings count."""

    ledger: Ledger
    git: Git
    home: Home

    def home_of(self, work: Work) -> Home:
        """Snapshots of a work are kept with it: they last as long as it does."""
        return replace(self.home, state_dir=self.ledger.folder(work.id))

    def repository_of(self, directory: str | Path) -> Repository | None:
        """The user's repository around a folder."""
        return repositories.find(Path(directory), self.git, home=self.home.home, config_home=self.home.config_home)


def prepare(bench: Bench, source: Path, wish: Wish, *, work_id: str | None = None) -> Work:
    """Make the tree of new work; what cannot be made whole is removed again.

    Args:
        bench: What it is done with.
        source: The directory that the caller named.
        wish: How it is to be kept apart.
        work_id: Its id, where it must be found again; a new one if it is left out.

    Raises:
        InvalidInput: The wish does not fit the folder: no repository, no such base, a path that is not there.
        ActionFailed: ``work_failed``: git failed, or the disk is full.
    """
    if wish.isolation == "copy":
        if wish.base != "HEAD" or wish.carry_changes:
            raise InvalidInput("invalid_input", "base and carry_changes are for isolation: worktree; a copy holds the folder as it is")
        work = bench.ledger.begin(isolation="copy", source=source, root=source, work_id=work_id)
    else:
        work = _enter_worktree(bench, source, wish, work_id)
    with bench.ledger.held(work.id):
        try:
            _make(bench, work, wish)
            brought = copies.bring(Path(work.root), Path(work.tree), link=list(wish.link), copy=list(wish.copy))
            return bench.ledger.change(work, brought=brought, state="running")
        except BaseException:
            _take_away(bench, work)
            raise


def find(bench: Bench, work_id: str) -> Work | None:
    """Return the work that an earlier call made; None where there is none, or none that was made whole: the rest of that is removed.

    Raises:
        Refused: ``work_busy``: it is being applied or discarded; ``work_dirty``: that was broken off in the middle.
        ActionFailed: ``work_not_found``: somebody has removed its tree.
    """
    try:
        work = bench.ledger.read(work_id)
    except ActionFailed as error:
        if error.code != "work_not_found":
            raise
        return None
    with bench.ledger.held(work_id):
        if work.state == "preparing":
            _take_away(bench, work)
            return None
        if not Path(work.tree).is_dir():
            raise worktrees.missing(work)
        if work.state == "applying":
            raise Refused(
                "work_dirty", f"{work.id}: its changes are applied in part; apply_work goes on with that", details={"work_id": work.id}
            )
        return bench.ledger.change(work, state="running") if work.state in ("failed", "waiting") else work


def _enter_worktree(bench: Bench, source: Path, wish: Wish, work_id: str | None) -> Work:
    repository = bench.repository_of(source)
    if repository is None:
        raise InvalidInput(
            "invalid_input", f"{source} is in no git repository with a work tree, so it can have no worktree; use isolation: copy"
        )
    if wish.carry_changes and wish.base != "HEAD":
        raise InvalidInput("invalid_input", "carry_changes goes with the base HEAD alone: your changes were made on that")
    base = worktrees.resolve_base(repository, wish.base, bench.git)
    work = bench.ledger.begin(
        isolation="worktree",
        source=source,
        root=repository.root,
        work_id=work_id,
        repository=str(repository.common),
        base=wish.base,
        base_commit=base,
    )
    return bench.ledger.change(work, branch=_BRANCH + work.id.removeprefix("work_"))


def _make(bench: Bench, work: Work, wish: Wish) -> None:
    if work.isolation == "copy":
        outside = frozenset(Path(work.root, item) for item in (*wish.link, *wish.copy))
        copies.copy_folder(Path(work.root), Path(work.tree), leave_out=outside)
        return
    repository = bench.repository_of(work.root)
    if repository is None:
        raise worktrees.missing(work)
    carried, taken = None, None
    if wish.carry_changes:
        taken = snapshots.take(Path(work.root), bench.home, bench.git)
        carried = worktrees.Carried(taken.tree, taken.store.folder / "objects")
    try:
        # Git's own locks make whoever comes second fail, not wait.
        with bench.ledger.alone_at(repository.common, until=bench.git.ends):
            worktrees.make(work, repository, bench.git, carried=carried)
    finally:
        if taken is not None:
            snapshots.forget(taken)
    if not work.path.is_dir():
        raise InvalidInput("invalid_input", f"{work.base} of {work.root} has no folder {Path(work.source).relative_to(work.root)}")


def _take_away(bench: Bench, work: Work) -> None:
    """Remove what was made of new work; where that fails, the record stays, and ``list_work`` shows it."""
    with suppress(OSError, GitError, ActionFailed, Refused):
        if work.isolation == "worktree":
            _remove_worktree(bench, work, replace(bench.git, ends=time.monotonic() + 10))
        bench.ledger.remove(work)


def _remove_worktree(bench: Bench, work: Work, git: Git) -> None:
    with bench.ledger.alone_at(work.repository, until=git.ends):
        worktrees.remove(work, git)


def finish(bench: Bench, work: Work, before: Snapshot, after: Snapshot, *, message: str) -> Work:
    """Commit what was done, and write down the trees; a copy has no commit.

    Args:
        bench: What it is done with.
        work: The work; its lock is held.
        before: The tree before the agent began.
        after: The tree now.
        message: The message of the commit.
    """
    commit = work.commit
    if work.isolation == "worktree":
        repository = bench.repository_of(work.root)
        if repository is None:
            raise worktrees.missing(work)
        objects = after.store.folder / "objects"
        begun = replace(work, base_tree=before.tree)
        commit = worktrees.commit(begun, repository, bench.git, objects=objects, index=after.store.index, message=message)
    return bench.ledger.change(work, base_tree=before.tree, final_tree=after.tree, commit=commit)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was brought into the folder.

    Attributes:
        files: Paths that were written or removed.
        merged: Those of them whose content is made of both sides.
        already: Paths that held it already.
        left: Paths that could not be brought, since no snapshot keeps them.
    """

    files: tuple[str, ...]
    merged: tuple[str, ...]
    already: tuple[str, ...]
    left: tuple[str, ...]


def apply(bench: Bench, work: Work) -> tuple[Work, Applied]:
    """Bring what a work has changed into the folder that it was taken from; its lock is held.

    Raises:
        ActionFailed: ``work_conflict``: nothing was written, and the details say where and why; ``work_not_found``, ``work_failed``.
    """
    if not work.base_tree:
        raise ActionFailed("work_not_found", f"nothing is known of what {work.id} began with: it was killed before its prompt was sent")
    final, left = _final_tree(bench, work)
    if not Path(work.root).is_dir():
        raise ActionFailed("work_not_found", f"the folder {work.root} of {work.id} is gone", details={"work_id": work.id})
    with bench.ledger.alone_at(work.root, until=bench.git.ends):
        return _apply(bench, work, final, left)


def _apply(bench: Bench, work: Work, final: str, left: tuple[str, ...]) -> tuple[Work, Applied]:
    source = Path(work.root)
    current = snapshots.take(source, bench.home, bench.git)
    try:
        store, tree = _meeting(bench, work, current)
        made = applying.plan(store, base=work.base_tree, final=final, current=tree)
        known = applying.identities(store, list(made.wanted))
        # What changes from here on is seen by its identity; what changed before stands in a second look.
        again = snapshots.retake(current, bench.home, bench.git)
        snapshots.forget(again)
        if again.tree != current.tree:
            raise ActionFailed("work_conflict", f"{source} is being changed at this moment; nothing was written", details={"conflicts": []})
        if made.conflicts:
            raise _conflict(work, made.conflicts)
        state, name = work.state, f".netclaw-old-{work.id}"
        work = bench.ledger.change(work, state="applying", final_tree=final)
        try:
            applying.write(store, made, known=known, name=name)
        except ActionFailed:
            if not (source / name).exists():  # everything was put back
                bench.ledger.change(work, state=state)
            raise
    finally:
        snapshots.forget(current)
    work = bench.ledger.change(work, state="applied")
    written = tuple(sorted(map(shown, made.wanted)))
    return work, Applied(written, tuple(map(shown, made.merged)), tuple(map(shown, made.already)), left)


def _conflict(work: Work, conflicts: Sequence[applying.Conflict]) -> ActionFailed:
    first = conflicts[0]
    more = f" (and {len(conflicts) - 1} more)" if len(conflicts) > 1 else ""
    return ActionFailed(
        "work_conflict",
        f"{work.id} does not go together with what {work.root} holds now: {shown(first.path)}: {first.why}{more}; nothing was written",
        details={"work_id": work.id, "path": work.tree, "branch": work.branch, "conflicts": [item.to_wire() for item in conflicts]},
    )


def _final_tree(bench: Bench, work: Work) -> tuple[str, tuple[str, ...]]:
    """The tree of the work as it is now, or as it ended where its files are gone; and what it cannot hold."""
    if not Path(work.tree).is_dir():
        if not work.final_tree:
            raise worktrees.missing(work)
        return work.final_tree, ()
    now = snapshots.take(Path(work.tree), bench.home_of(work), bench.git)
    try:
        return _tree_without(now, work), tuple(map(shown, now.big))
    finally:
        snapshots.forget(now)


def _tree_without(snapshot: Snapshot, work: Work) -> str:
    """The tree with what was brought in as it was at the beginning: a link to the user's folder is no change."""
    if not work.brought or not work.base_tree:
        return snapshot.tree
    store = replace(snapshot.store, index=snapshot.store.index.with_name(f"{snapshot.store.index.name}-brought"))
    shutil.copyfile(snapshot.store.index, store.index)
    try:
        listed = store.run("ls-files", "-z", "--", *work.brought)
        if listed:
            store.run("update-index", "-z", "--force-remove", "--stdin", stdin=listed)
        kept = store.run("ls-tree", "-r", "-z", work.base_tree, "--", *work.brought)
        if kept:
            store.run("update-index", "-z", "--index-info", stdin=kept)
        return store.line("write-tree", "--missing-ok")
    finally:
        store.index.unlink(missing_ok=True)


def _meeting(bench: Bench, work: Work, current: Snapshot) -> tuple[Store, str]:
    """A repository that has the objects of both sides, with the folder as its work tree; and the folder's own tree."""
    folder = make_private_folder(bench.ledger.folder(work.id), "store", "meeting")
    repository = current.repository
    objects = [path / "objects" for path in bench.ledger.folder(work.id).glob("snapshots/*/sha*")]
    write_repository(
        folder,
        settings=repository.settings if repository is not None else {},
        alternates=(*objects, current.store.folder / "objects", *((repository.objects,) if repository is not None else ())),
        excludes=repository.excludes if repository is not None else b"",
        attributes=repository.attributes if repository is not None else b"",
    )
    store = Store(bench.git, folder, Path(work.root), folder / "index")
    inside = Path(work.root).relative_to(current.root)
    if inside == Path():
        return store, current.tree
    # A copy of a folder within a repository: only that part of the tree stands against it.
    entry = store.run("ls-tree", "-z", current.tree, "--", str(inside))
    return store, entry.split()[2].decode() if entry else current.empty_tree


def discard(bench: Bench, work: Work, *, force: bool) -> None:
    """Remove a work: its tree, its branch, its patch; its lock is held.

    Raises:
        Refused: ``work_dirty``: something stands in it that was never seen as its result, and ``force`` was not given.
    """
    if not force:
        why = unseen(bench, work)
        if why is not None:
            raise Refused(
                "work_dirty",
                f"{work.id} holds what is nowhere else: {why}; nothing was removed",
                details={"work_id": work.id, "path": work.tree, "branch": work.branch},
            )
    if work.isolation == "worktree" and Path(work.repository).is_dir():
        _remove_worktree(bench, work, bench.git)
    if work.patch:
        Path(work.patch).unlink(missing_ok=True)
    bench.ledger.remove(work)


def unseen(bench: Bench, work: Work) -> str | None:
    """Say what of a work would be lost that no result has told; None if nothing."""
    if work.state == "preparing":
        return None
    if work.state == "applying":
        return "its changes are applied in part; apply_work goes on with that"
    if work.state in ("running", "waiting"):
        known, told = work.base_tree, "its task did not come to an end"
    else:
        known, told = work.final_tree or work.base_tree, "its files were changed since its task ended"
    if work.branch and work.commit:
        now = worktrees.branch_commit(work, bench.git)
        if now is not None and now != work.commit:
            return f"commits were made on {work.branch} since"
    if not Path(work.tree).is_dir():
        return None
    try:
        now_tree, _ = _final_tree(bench, work)
    except (GitError, TooLargeError) as error:
        return f"its files could not be compared ({error})"
    if work.state in ("running", "waiting") and not known:
        return "its task was killed before its first look at the files"
    # A final tree that a killed call wrote down was in no result; one that waits for an answer was told so far.
    seen = (known,) if work.state == "running" else (known, work.final_tree)
    return told if now_tree not in seen else None


def keep_patch(bench: Bench, work: Work, patch: Path) -> Work:
    """Keep a copy of the patch with the work."""
    place = bench.ledger.folder(work.id) / "work.patch"
    shutil.copyfile(patch, place)
    place.chmod(0o600)
    return bench.ledger.change(work, patch=str(place))


__all__ = ["Applied", "Bench", "Wish", "apply", "discard", "find", "finish", "keep_patch", "prepare", "unseen"]
