"""A git worktree of a task's own, on a branch of its own.

Owns its making, the commit of what was done in it, and its removal. Files are written and read by a repository of our own, with the
objects and the index of the worktree: no hook runs, and no filter. In the user's repository a branch, a folder below ``worktrees/`` and
objects come up, and go again with the work; nothing else is written there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode._core.private_files import make_private_folder
from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.work.git import Git, GitError, Store, write_repository
from netclaw_opencode.work.ledger import Work
from netclaw_opencode.work.repositories import Repository

_AUTHOR = {
    "GIT_AUTHOR_NAME": "netclaw-opencode",
    "GIT_AUTHOR_EMAIL": "netclaw-opencode@localhost",
    "GIT_COMMITTER_NAME": "netclaw-opencode",
    "GIT_COMMITTER_EMAIL": "netclaw-opencode@localhost",
}


@dataclass(frozen=True, slots=True)
class Carried:
    """Changes of the user that no commit holds yet: a tree, and where its objects are."""

    tree: str
    objects: Path


def resolve_base(repository: Repository, base: str, git: Git) -> str:
    """Return the commit that a name leads to.

    Raises:
        InvalidInput: There is no such commit, or none at all.
    """
    name = f"{base}^{{commit}}"
    try:
        told = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name, cwd=repository.root, environ=repository.environment())
    except GitError as error:
        if error.timed_out:
            raise
        why = "the repository has no commit yet" if base == "HEAD" else "it names no commit"
        raise InvalidInput(
            "invalid_input",
            f"base {base[:200]!r} of {repository.root}: {why}; name a branch, a tag or a commit, or use isolation: copy",
        ) from error
    # With --end-of-options some versions of git print that word, too.
    return os.fsdecode(told).split()[-1]


def make(work: Work, repository: Repository, git: Git, *, carried: Carried | None = None) -> None:
    """Make the worktree of a work: its branch at the base, its files those of the base, or those that were carried over.

    Raises:
        GitError: Git could not; ``remove`` takes away what was made.
    """
    tree = Path(work.tree)
    common = {"GIT_DIR": str(repository.common)}
    git.run("worktree", "add", "--no-checkout", "-b", work.branch, str(tree), work.base_commit, cwd=repository.root, environ=common)
    store = _store(work, repository, git)
    store.run("read-tree", work.base_commit)
    if carried is None:
        store.run("checkout-index", "-a", "-q", "-u", "-f")
        return
    # What was carried over stands in the files alone, as it does in the user's own work tree.
    loose = Store(git, _bare(work, repository, alternates=(carried.objects,)), tree, store.folder / "carried")
    try:
        loose.run("read-tree", carried.tree)
        loose.run("checkout-index", "-a", "-q", "-f")
    finally:
        loose.index.unlink(missing_ok=True)
    store.run("update-index", "-q", "--refresh", accept=(0, 1))


def _bare(work: Work, repository: Repository, *, alternates: tuple[Path, ...] = ()) -> Path:
    """A repository of ours beside the tree, with the user's plain settings and nothing that can run."""
    folder = make_private_folder(Path(work.tree).parent, "store", "git")
    write_repository(
        folder,
        settings=repository.settings,
        alternates=(repository.objects, *alternates),
        excludes=repository.excludes,
        attributes=repository.attributes,
    )
    return folder


def _store(work: Work, repository: Repository, git: Git) -> Store:
    """The worktree's own index, and the user's objects, seen through a repository of ours."""
    return Store(git, _bare(work, repository), Path(work.tree), own_folder(work) / "index", objects=repository.objects)


def own_folder(work: Work) -> Path:
    """The worktree's own folder in the user's repository, as its ``.git`` file names it.

    Raises:
        ActionFailed: ``work_not_found``: somebody removed the worktree, or made something else of it.
    """
    try:
        text = Path(work.tree, ".git").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    folder = Path(work.tree, text.removeprefix("gitdir: ")).resolve()
    # The agent can write this file: it may lead nowhere but to a worktree of that very repository.
    if not text.startswith("gitdir: ") or folder.parent != Path(work.repository, "worktrees") or not folder.is_dir():
        raise missing(work)
    return folder


def missing(work: Work) -> ActionFailed:
    """Return the error for work whose tree is gone."""
    return ActionFailed(
        "work_not_found",
        f"the tree of {work.id} ({work.tree}) was removed or is no worktree of {work.repository or work.root} any more",
        details={"work_id": work.id, "path": work.tree, "branch": work.branch, "patch": work.patch},
    )


def commit(work: Work, repository: Repository, git: Git, *, objects: Path, index: Path, message: str) -> str:
    """Commit everything that was done in the worktree on its branch, and return the commit; the agent's own commits stay below it.

    Args:
        work: The work.
        repository: The user's repository.
        git: What does it.
        objects: Where the objects of the final tree are.
        index: An index with the final tree; it is copied.
        message: The message of the commit.
    """
    own = own_folder(work)
    seen = {"GIT_DIR": str(own), "GIT_WORK_TREE": work.tree}
    head = os.fsdecode(git.run("rev-parse", "--verify", "HEAD", cwd=Path(work.tree), environ=seen)).strip()
    store = Store(git, _bare(work, repository, alternates=(objects,)), Path(work.tree), own / "netclaw-index")
    try:
        shutil.copyfile(index, store.index)
        if repository.settings.get("core.ignorecase") == "true":
            _keep_hidden(work, store, head)
        tree = _without_brought(work, store)
        if os.fsdecode(store.run("rev-parse", f"{head}^{{tree}}")).strip() == tree:
            made = head
        else:
            made = _commit_tree(store, tree, head, message)
            _hand_over(store, repository, made, head)
    finally:
        store.index.unlink(missing_ok=True)
    git.run("update-ref", "-m", "netclaw-opencode: commit", f"refs/heads/{work.branch}", made, cwd=Path(work.tree), environ=seen)
    # Else the worktree's own git status would show the commit as undone.
    real = _store(work, repository, git)
    real.run("read-tree", made)
    real.run("update-index", "-q", "--refresh", accept=(0, 1))
    return made


def _keep_hidden(work: Work, store: Store, head: str) -> None:
    """Keep what the file system could not show beside a file whose name differs by case alone: the agent did not remove it."""
    entries = [entry for entry in store.run("ls-tree", "-r", "-z", head).split(b"\0") if entry]
    names: dict[str, int] = Counter(_folded(entry) for entry in entries)
    twins = {entry.partition(b"\t")[2]: entry for entry in entries if names[_folded(entry)] > 1}
    if not twins:
        return
    there = set(store.run("ls-files", "-z").split(b"\0"))
    began = set(store.run("ls-tree", "-r", "-z", "--name-only", work.base_tree).split(b"\0")) if work.base_tree else there
    hidden = [entry for path, entry in twins.items() if path not in there and path not in began]
    if hidden:
        store.run("update-index", "-z", "--add", "--index-info", stdin=b"\0".join(hidden) + b"\0")


def _folded(entry: bytes) -> str:
    return os.fsdecode(entry.partition(b"\t")[2]).casefold()


def _without_brought(work: Work, store: Store) -> str:
    """The tree without what was linked or copied in for the agent."""
    if work.brought:
        names = os.fsdecode(store.run("ls-files", "-z", "--", *work.brought)).split("\0")
        listed = b"\0".join(os.fsencode(name) for name in names if name)
        known = set(os.fsdecode(store.run("ls-tree", "-r", "-z", "--name-only", work.base_commit, "--", *work.brought)).split("\0"))
        gone = b"\0".join(path for path in listed.split(b"\0") if path and os.fsdecode(path) not in known)
        if gone:
            store.run("update-index", "-z", "--force-remove", "--stdin", stdin=gone + b"\0")
    return store.line("write-tree")


def _commit_tree(store: Store, tree: str, parent: str, message: str) -> str:
    environ = {"GIT_DIR": str(store.folder), **_AUTHOR}
    return os.fsdecode(store.git.run("commit-tree", tree, "-p", parent, "-m", message, cwd=store.root, environ=environ)).strip()


def _hand_over(store: Store, repository: Repository, made: str, parent: str) -> None:
    """Bring the objects of a commit of ours into the user's repository."""
    wanted = f"{made}\n^{parent}\n".encode()
    packed = store.run("pack-objects", "--stdout", "--revs", "-q", "--delta-base-offset", stdin=wanted)
    store.git.run("unpack-objects", "-q", cwd=repository.root, environ={"GIT_DIR": str(repository.common)}, stdin=packed)


def branch_commit(work: Work, git: Git) -> str | None:
    """Return what the branch leads to now; None if it is gone."""
    name = f"refs/heads/{work.branch}"
    with suppress(GitError):
        told = git.run("rev-parse", "--verify", "--quiet", name, cwd=Path(work.repository), environ={"GIT_DIR": work.repository})
        return os.fsdecode(told).strip()
    return None


def remove(work: Work, git: Git) -> None:
    """Remove the worktree, its folder in the repository and its branch; what is gone already is no failure."""
    environ: Mapping[str, str] = {"GIT_DIR": work.repository}
    cwd = Path(work.repository)
    with suppress(GitError):
        # Where somebody pruned it, git does not know it any more.
        git.run("worktree", "remove", "--force", "--force", work.tree, cwd=cwd, environ=environ)
    if Path(work.tree).exists():
        shutil.rmtree(work.tree)
        with suppress(GitError):
            git.run("worktree", "remove", "--force", "--force", work.tree, cwd=cwd, environ=environ)
    if branch_commit(work, git) is not None:
        git.run("update-ref", "-d", f"refs/heads/{work.branch}", cwd=cwd, environ=environ)


__all__ = ["Carried", "branch_commit", "commit", "make", "missing", "own_folder", "remove", "resolve_base"]
