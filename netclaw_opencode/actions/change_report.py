"""What a task changed, in the form of results and errors: whose change each file is, and what is not known of it.

Owns that form. When a directory is looked at is ``changed_files``'.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from netclaw_opencode.driver import results
from netclaw_opencode.work import changes

if TYPE_CHECKING:
    from netclaw_opencode.driver.verdict import Span
    from netclaw_opencode.work.changes import ChangedFile, Changes, Patch

_MOST_TOLD = 200
"""Changed files that an error names."""
_CONFINED_TOOLS = frozenset(
    {
        *("read", "glob", "grep", "list", "ls", "lsp", "todowrite", "todoread", "webfetch", "websearch", "codesearch", "question"),
        *("skill", "invalid", "StructuredOutput", "plan_enter", "plan_exit"),
        *("write", "edit", "patch", "apply_patch", "multiedit"),
    }
)
"""Tools that change no file but those that they name."""


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
        if self.summary["method"] == "snapshot":
            output["files_changed"] = self.files
            notes = [note for note in notes if not str(note).startswith(results.NOTES_WITHOUT_SNAPSHOT)]
        output["changes"] = self.summary
        output["notes"] = [*notes, *self.notes]

    def to_record(self) -> dict[str, object]:
        """Return the form in which it is kept for a call that joins the task."""
        return {"files": self.files, "summary": self.summary, "notes": self.notes}

    @classmethod
    def of_record(cls, kept: Mapping[str, object]) -> Report:
        """Return what an earlier call has told."""
        files, summary, notes = (kept[name] for name in ("files", "summary", "notes"))
        return cls(cast("list[dict[str, object]]", files), cast("dict[str, object]", summary), cast("list[str]", notes))


@dataclass(frozen=True, slots=True)
class Told:
    """What changed, and what is known of how it came.

    Attributes:
        found: What changed.
        directory: Where the agent worked.
        span: The turn, as far as it was seen: whose change it is, is told by its tools.
        isolated: Whether nobody else worked there.
        until_ms: When the turn ended, in epoch milliseconds, if that is some time ago: what was written later is somebody else's.
    """

    found: Changes
    directory: str
    span: Span | None = None
    isolated: bool = False
    until_ms: float | None = None

    def split(self) -> tuple[Changes, list[str]]:
        """Return the changes that can be the task's, and the paths of those that cannot: no tool touched them, or they are younger."""
        mine = frozenset(item.path for item in self.found.files)
        if self.until_ms is not None:
            mine = frozenset(path for path in mine if changed_ms(self.found.root, path) <= self.until_ms)
        if self.span is not None and not self.isolated and not _may_change_anything(self.span):
            written = self._written()
            mine = frozenset(path for path in mine if self._real(path) in written)
        if len(mine) == len(self.found.files):
            return self.found, []
        return self.found.only(mine), [self.shown(item.path) for item in self.found.files if item.path not in mine]

    def shown(self, path: bytes) -> str:
        """Return a path as results have it: from the working directory on, if it lies in it."""
        whole = os.fsencode(self.found.root) + b"/" + path
        return changes.shown(whole.removeprefix(os.fsencode(self.directory) + b"/"))

    def _written(self) -> set[str]:
        """Real paths of the files that file tools wrote."""
        steps = self.span.steps if self.span is not None else ()
        return {os.path.realpath(Path(self.directory, change.path)) for step in steps for change in step.changes}

    def _real(self, path: bytes) -> str:
        return os.path.realpath(os.fsdecode(os.fsencode(self.found.root) + b"/" + path))

    def report(self, patch: Patch | None, other_paths: list[str], *, others: int, problem: str | None = None) -> Report:
        """Return the report of these changes.

        Args:
            patch: The file with the whole change.
            other_paths: What changed meanwhile and is not the task's.
            others: How many other tasks worked in the same folder.
            problem: What kept isolated work from being committed, and where its files are.
        """
        found, written = self.found, self._written()
        files = [self._to_wire(item, by="tool" if self._real(item.path) in written else "command") for item in found.files]
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
                summary["not_in_patch"] = [self.shown(path) for path in patch.left_out]
        if other_paths:
            summary["others"] = other_paths
        if found.before.ignored_files is not None:
            summary["ignored_changed"] = self._ignored()
        return Report(files, summary, self._notes(files, other_paths, others, problem), patch, found, self.directory)

    def _notes(self, files: list[dict[str, object]], other_paths: list[str], others: int, problem: str | None) -> list[str]:
        notes = []
        if other_paths:
            notes.append(f"{len(other_paths)} file(s) changed meanwhile that no tool of this task touched; changes.others names them")
        if others and any(item["by"] == "command" for item in files):
            notes.append("another task worked in the same folder meanwhile: files_changed with by: command may be its work")
        long = [str(item["path"]) for item in files if not (item["diff"] or item.get("binary")) and item["additions"]]
        if long:
            told = f"a diff of more than {changes.LONGEST_DIFF // 1024} KiB stands in the patch alone"
            notes.append(f"{told}: {', '.join(long[:5])}{' …' if len(long) > 5 else ''}")
        if problem is not None:
            notes.append(f"the work was not committed ({problem}")
        if self.found.after.unread:
            notes.append(f"could not be read: {', '.join(map(changes.shown, self.found.after.unread[:5]))}")
        return notes

    def _ignored(self) -> list[dict[str, object]]:
        found = self.found
        before, after = found.before.ignored_files or {}, found.after.ignored_files or {}
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        return [
            {
                "path": self.shown(path),
                "status": "added" if path not in before else "deleted" if path not in after else "modified",
            }
            for path in changed
        ]

    def _to_wire(self, item: ChangedFile, *, by: str) -> dict[str, object]:
        wire: dict[str, object] = {
            "path": self.shown(item.path),
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
                wire[name] = self.shown(path)
        return wire


def details_of(report: Report) -> dict[str, object]:
    """Return the changes in an error's details: names without diffs, where the patch is, and what is not known of them."""
    details: dict[str, object] = {"changes": report.summary}
    if report.summary["method"] == "snapshot":
        details["files_changed"] = [{name: item[name] for name in ("path", "status", "by")} for item in report.files[:_MOST_TOLD]]
    if report.notes:
        details["notes"] = report.notes
    return details


def changed_ms(root: Path, path: bytes) -> float:
    """Return when a file was written last, in epoch milliseconds; that of one that is gone is not known: 0."""
    with suppress(OSError):
        return os.lstat(os.fsencode(root) + b"/" + path).st_mtime_ns / 1e6
    return 0.0


def _may_change_anything(span: Span) -> bool:
    """Return whether a tool ran that could have written anywhere: a command, a sub-agent, a tool of a plugin or of an MCP server."""
    return any(use.tool not in _CONFINED_TOOLS for step in span.steps for use in step.tools)


__all__ = ["Report", "Told", "changed_ms", "details_of"]
