"""A statement: what was changed, how it was checked, with what and at what price; and the repetition of its check on a clean checkout.

Owns the document (its form is ``schemas/statement.schema.json``), the seal by which a statement of this user's own is known, and the way
from a statement back to its files. A check is a command: only that of a sealed statement is run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast

from netclaw_opencode._core.documents import read_json
from netclaw_opencode._core.private_files import create_private, make_private_folder, replace_private, sweep_files
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import ActionFailed, InvalidInput, Refused
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.work import checking, repositories
from netclaw_opencode.work.checking import Check, Run
from netclaw_opencode.work.git import Git, GitError, Store, write_repository
from netclaw_opencode.work.stores import Home

FORM = "netclaw-opencode/statement"
_VERSION = 1
_KEY = "statement.key"
_MOST_BYTES = 8 * 1024 * 1024
_MOST, _LONGEST_DAYS = 500, 365


def git_version(git: Git) -> str:
    """The version of the git that looked at the files."""
    return os.fsdecode(git.run("--version", cwd=Path("/"))).strip().removeprefix("git version ")


def write_statement(state_dir: Path, facts: Mapping[str, object], *, git: Git) -> dict[str, object]:
    """Write a sealed statement of these facts; return where it is, with its digest.

    Args:
        state_dir: The state folder.
        facts: ``subject``, ``check``, ``usage``, ``times`` and the rest of the schema, as far as it is not made here.
        git: For its version.
    """
    folder = make_private_folder(state_dir, "statements")
    versions = {**cast("JsonObject", facts.get("versions") or {}), "git": git_version(git), "python": platform.python_version()}
    document: dict[str, object] = {
        "form": FORM,
        "version": _VERSION,
        "id": f"statement_{secrets.token_hex(6)}",
        "made_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **facts,
        "versions": versions,
    }
    document["seal"] = _seal(document, _key(state_dir))
    path = folder / f"{document['id']}.json"
    replace_private(path, (json.dumps(document, indent=1) + "\n").encode())
    sweep_files(folder, "statement_*.json", most=_MOST, longest_days=_LONGEST_DAYS)
    return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _seal(document: Mapping[str, object], key: bytes) -> str:
    told = {name: value for name, value in document.items() if name != "seal"}
    text = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key(state_dir: Path) -> bytes:
    """The key of this state folder; made once."""
    path = make_private_folder(state_dir) / _KEY
    with suppress(FileNotFoundError):
        return path.read_bytes()
    made = path.with_name(f".{_KEY}.{secrets.token_hex(4)}")
    create_private(made, secrets.token_bytes(32))
    # Of two calls that make it at the same moment both must seal with the same one.
    with suppress(FileExistsError):
        os.link(made, path)
    made.unlink()
    return path.read_bytes()


@dataclass(frozen=True, slots=True)
class Verified:
    """What the repetition of a check showed.

    Attributes:
        statement: The statement.
        run: The run on the clean checkout.
        patch: Whether the patch is still the one that the statement names: ``matches``, ``changed`` or ``missing``.
        from_patch: Whether the files were made from the base and the patch, since the final tree is not kept any more.
    """

    statement: JsonObject
    run: Run
    patch: str
    from_patch: bool


def read_statement(path: Path, state_dir: Path) -> JsonObject:
    """Read a statement of this user's own.

    Raises:
        InvalidInput: It is no statement.
        Refused: ``statement_unsealed``: it was made elsewhere, or changed since.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        document = json.loads(text) if len(text) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise InvalidInput("invalid_input", f"statement {str(path)[:200]!r} cannot be read: {why}") from error
    problems = find_problems(document, _schema(), incoming=True) if isinstance(document, Mapping) else ()
    if not isinstance(document, Mapping) or problems:
        told = problems[0].message if problems else "it is no statement of this program"
        raise InvalidInput("invalid_input", f"{path}: {told}")
    if not hmac.compare_digest(str(document["seal"]), _seal(document, _key(state_dir))):
        raise Refused(
            "statement_unsealed",
            f"{path} was not made with this state folder, or was changed since; its command was not run",
            details={"command": list(cast("list[str]", cast("JsonObject", document["check"])["command"]))},
        )
    return document


@cache
def _schema() -> JsonObject:
    return cast("JsonObject", read_json(find_bundled("schemas/statement.schema.json")).value)


def verify(document: JsonObject, home: Home, git: Git, *, environ: Mapping[str, str], limit_seconds: float) -> Verified:
    """Repeat a statement's check on a clean checkout of its final tree; the checkout is removed afterwards.

    Raises:
        ActionFailed: ``work_failed``: the files cannot be had any more.
    """
    subject = cast("JsonObject", document["subject"])
    patch = cast("JsonObject", subject.get("patch") or {})
    seen = _patch_state(patch)
    folder = Path(tempfile.mkdtemp(dir=make_private_folder(home.state_dir, "verifying")))
    try:
        root = Path(str(subject["root"]))
        tree = folder / (root.name or "tree")
        tree.mkdir()
        store = _store(folder, root, tree, home, git)
        from_patch = not _has(store, str(subject["final_tree"]))
        if from_patch:
            _make_from_patch(store, subject, patch, seen)
        store.run("read-tree", str(subject["final_tree"]))
        store.run("checkout-index", "-a", "-q")
        check = _check(cast("JsonObject", document["check"]))
        inside = Path(str(subject["source"])).relative_to(root)
        run = checking.run(check, tree / inside, environ=environ, limit_seconds=limit_seconds)
        return Verified(document, run, seen, from_patch)
    except (GitError, OSError) as error:
        raise ActionFailed("work_failed", f"the files of {document['id']} could not be made again: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another call may be at work beside
            folder.parent.rmdir()


def _check(told: JsonObject) -> Check:
    seconds = told.get("deadline_seconds")
    words = tuple(map(str, cast("list[object]", told["command"])))
    return Check(words, shell=told.get("shell") is True, deadline_seconds=float(seconds) if isinstance(seconds, int | float) else 300.0)


def _patch_state(patch: JsonObject) -> str:
    try:
        digest = hashlib.sha256(Path(str(patch["path"])).read_bytes()).hexdigest()
    except (OSError, KeyError):
        return "missing"
    return "matches" if digest == patch.get("sha256") else "changed"


def _store(folder: Path, root: Path, tree: Path, home: Home, git: Git) -> Store:
    """A repository that sees every object that may be left of the work."""
    repository = repositories.find(root, git, home=home.home, config_home=home.config_home) if root.is_dir() else None
    settings = repository.settings if repository is not None else repositories.settings_of_user(git, home.home, home.config_home)
    stores = [*home.state_dir.glob("snapshots/*/sha*/objects"), *home.state_dir.glob("work/work_*/snapshots/*/sha*/objects")]
    write_repository(
        folder / "git",
        settings=settings,
        alternates=(*stores, *((repository.objects,) if repository is not None else ())),
        attributes=repository.attributes if repository is not None else b"",
    )
    return Store(git, folder / "git", tree, folder / "index")


def _has(store: Store, tree: str) -> bool:
    """Whether the tree and all that it holds is there."""
    try:
        listed = store.run("ls-tree", "-r", "-z", tree).split(b"\0")
    except GitError:
        return False
    names = b"\n".join(entry.split()[2] for entry in listed if entry and not entry.startswith(b"160000"))
    if not names:
        return True
    return b" missing" not in store.run("cat-file", "--batch-check", stdin=names + b"\n")


def _make_from_patch(store: Store, subject: JsonObject, patch: JsonObject, seen: str) -> None:
    if seen != "matches" or not _has(store, str(subject["base_tree"])):
        raise ActionFailed(
            "work_failed",
            f"neither the final tree nor its base and its patch ({seen}) are kept any more, so the check cannot be repeated",
        )
    made = replace(store, index=store.index.with_name("index-base"))
    made.run("read-tree", str(subject["base_tree"]))
    made.run("apply", "--cached", "--whitespace=nowarn", str(patch["path"]))
    if made.line("write-tree") != subject["final_tree"]:
        raise ActionFailed("work_failed", "base and patch make another tree than the statement names; the check was not run")


__all__ = ["Verified", "read_statement", "verify", "write_statement"]
