"""Statements of checked work: written with a task's result, and judged again later."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode import __version__
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.actions.changed_files import find_git, home_of
from netclaw_opencode.actions.isolation import bench_of, in_thread
from netclaw_opencode.errors import ActionFailed, InvalidInput
from netclaw_opencode.work import statements

if TYPE_CHECKING:
    from netclaw_opencode.actions.attempts import Done, Task
    from netclaw_opencode.actions.checked import Judged
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.actions.isolation import Place
    from netclaw_opencode.jsontypes import JsonObject

_WRITE_SECONDS = 5.0
_VERIFY_SECONDS = 600.0


async def write_statement(
    task: Task, done: Done, judged: Judged, context: ActionContext, *, place: Place | None, began_at: str, ended_at: str
) -> dict[str, object] | None:
    """Write the statement of a task that was checked; None where its files were not compared."""
    git = find_git(context.settings, _WRITE_SECONDS)
    if git is None or done.report.found is None:
        return None
    connection = await context.driver.connect()
    turn = done.result.to_wire()
    summary = done.report.summary
    subject: dict[str, object] = {
        "source": place.work.source if place is not None else str(done.report.directory),
        "root": place.work.root if place is not None else summary["root"],
        "base_tree": summary["base_tree"],
        "final_tree": summary["final_tree"],
        "files": summary["files"],
        "isolation": place.work.isolation if place is not None else "none",
    }
    if "patch" in summary:
        subject["patch"] = summary["patch"]
    if place is not None and place.work.commit:
        subject |= {"base_commit": place.work.base_commit, "commit": place.work.commit, "branch": place.work.branch}
    check = judged.check
    facts: dict[str, object] = {
        "subject": subject,
        "check": judged.to_wire() | {"shell": check.shell, "deadline_seconds": check.deadline_seconds, "protect": list(check.protect)},
        "verified": judged.passed,
        "task": {
            "session_id": done.result.session_id,
            "message_id": done.result.message_id,
            "prompt_sha256": hashlib.sha256(read.required_text(task.arguments, "prompt").encode()).hexdigest(),
        },
        "usage": turn["usage"],
        "versions": {"netclaw_opencode": __version__, "opencode": connection.health.version},
        "times": {"began_at": began_at, "ended_at": ended_at, "elapsed_seconds": turn["elapsed_seconds"]},
    }
    if "model" in turn:
        facts["model"] = turn["model"]
    return await in_thread(lambda: statements.write_statement(context.settings.state_dir, facts, git=git))


async def verify_work(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Repeat the check of a statement on a clean checkout."""
    path = Path(read.required_text(arguments, "statement"))
    if not path.is_absolute():
        raise InvalidInput("invalid_input", f"statement {str(path)[:200]!r} must be absolute; it would become {str(path.resolve())!r}")
    settings = context.settings
    document = statements.read_statement(path, settings.state_dir)
    bench = bench_of(settings, _VERIFY_SECONDS)
    found = await in_thread(
        lambda: statements.verify(document, home_of(settings), bench.git, environ=settings.environ, limit_seconds=_VERIFY_SECONDS)
    )
    output: dict[str, object] = {
        "statement_id": document["id"],
        "holds": found.run.passed,
        "verified_then": document["verified"],
        "final_tree": _text(document, "final_tree"),
        "patch": found.patch,
        "made_from": "base and patch" if found.from_patch else "objects",
        "run": found.run.to_wire("repeated"),
        "notes": ["what git does not know (.venv, node_modules, .env) is not in a clean checkout"] if not found.run.passed else [],
    }
    if not found.run.passed:
        raise ActionFailed(
            "check_failed", f"the check of {document['id']} does not hold any more: it {found.run.describe()}", details=output
        )
    return output


def _text(document: JsonObject, name: str) -> object:
    subject = document["subject"]
    return subject[name] if isinstance(subject, dict) else ""


__all__ = ["verify_work", "write_statement"]
