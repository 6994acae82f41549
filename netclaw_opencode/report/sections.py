"""The parts of a task's page beside its story: the head, the change, the checks, what was asked, what the outcome rests on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from netclaw_opencode.errors import CODES
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.trajectory import Prompt, Trajectory
from netclaw_opencode.report.colours import language_of, show_code
from netclaw_opencode.report.diffs import show_diff
from netclaw_opencode.report.markup import Child, element
from netclaw_opencode.report.story import spent_by
from netclaw_opencode.report.wording import (
    at_time,
    count,
    duration,
    elapsed_seconds,
    first_line,
    items,
    model_name,
    money,
    number,
    outcome_words,
    part,
    parts,
    plural,
    word,
    words,
)

_OPEN_LINES = 400
"""So many lines of the change stand open; the rest is folded."""
_FILES = 500


def show_head(trajectory: Trajectory, facts: JsonObject) -> Iterator[Element]:
    """Return how it ended, what it was about, and its figures."""
    when = at_time(trajectory.began_at)
    yield element("p", " · ".join(filter(None, ("OpenCode task", trajectory.action, when))), class_="kicker")
    yield element(
        "p", (element("span", text, class_=f"badge {mark}".strip()) for text, mark in _badges(trajectory, facts)), class_="badges"
    )
    prompt = next((step.text for step in trajectory.steps if isinstance(step, Prompt)), "")
    yield element("h1", element("bdi", title_of(trajectory) if prompt else trajectory.action.replace("_", " ").capitalize()))
    if trajectory.error is not None:
        yield _failure(trajectory.error)
    yield element("dl", _tiles(trajectory, facts), class_="tiles")
    work = part(facts, "work")
    rows: list[tuple[str, Child]] = [
        ("Directory", trajectory.directory and element("code", trajectory.directory)),
        ("Isolated work", work and list(_work(work, directory=trajectory.directory))),
    ]
    yield show_facts(rows)


def title_of(trajectory: Trajectory) -> str:
    """Return the first line of the task."""
    prompt = next((step.text for step in trajectory.steps if isinstance(step, Prompt)), "")
    return first_line(prompt, 140) or trajectory.action.replace("_", " ")


def _badges(trajectory: Trajectory, facts: JsonObject) -> Iterator[tuple[str, str]]:
    outcome = trajectory.outcome
    calm = {"completed": "good", "done": "good", "waiting": "warn", "cancelled": "warn", "unknown": "warn"}
    yield outcome_words(outcome), calm.get(outcome, "bad")
    if outcome not in calm:
        yield outcome, ""
    if facts.get("verified") is True:
        yield "Verified by its check", "good"
    elif part(facts, "check"):
        yield "Not verified", "bad"
    elif outcome == "completed":
        yield "Not checked", ""
    state = word(part(facts, "work"), "state")
    if state:
        yield f"Work {state}", "good" if state == "applied" else ""
    for flag in ("truncated", "filtered"):
        if facts.get(flag) is True:
            yield f"Answer {flag}", "warn"


def _failure(error: JsonObject) -> Element:
    code = word(error, "code")
    following = word(error, "next") or (CODES[code].remedy if code in CODES else "")
    stopped = part(error, "details", "stopped")
    seen = {True: "What ran was stopped, and seen stopped.", False: "What ran could not be seen stopped."}.get(
        stopped.get("confirmed") is True
    )
    return element(
        "div",
        element("p", word(error, "message"), class_="plain"),
        following and element("p", element("b", "What to do: "), following),
        stopped and element("p", seen),
        word(error, "rule") and element("p", "Rule: ", element("code", word(error, "rule")), class_="small"),
        class_="failure",
        role="note",
    )


def _tiles(trajectory: Trajectory, facts: JsonObject) -> Iterator[Element]:
    spent = spent_by(trajectory, facts)
    took = number(facts, "elapsed_seconds") if "elapsed_seconds" in facts else elapsed_seconds(trajectory)
    if took is not None:
        yield _tile("Time", duration(took), plural(spent.model_calls, "model call") if spent.model_calls else "")
    if spent.tokens or spent.cost_usd:
        yield _tile("Cost", money(spent.cost_usd), "" if spent.cost_usd else "no price is known")
    split = f"{count(spent.input)} in, {count(spent.output)} out" if spent.input or spent.output else ""
    if spent.tokens:
        yield _tile("Tokens", count(spent.tokens), split)
    files, changes = parts(facts, "files_changed"), part(facts, "changes")
    if files or changes:
        added, removed = (number(changes, key) or sum(number(item, key) for item in files) for key in ("additions", "deletions"))
        yield _tile("Files", count(max(len(files), number(changes, "files"))), _lines(added, removed) if added or removed else "")
    name = model_name(trajectory.model)
    if name:
        yield _tile("Model", element("span", name.rpartition("/")[2] or name), name.rpartition("/")[0])


def _tile(title: str, value: Child, more: Child = "") -> Element:
    return element("div", element("dt", title), element("dd", value, element("small", more) if more else None))


def _lines(added: float, removed: float) -> list[Child]:
    return [element("span", f"+{count(added)}", class_="plus"), " ", element("span", f"\u2212{count(removed)}", class_="minus")]


def _work(work: JsonObject, *, directory: str) -> Iterator[Child]:
    yield " ".join(filter(None, (word(work, "isolation"), word(work, "state"))))
    for label, key in (("from", "source"), ("branch", "branch"), ("commit", "commit"), ("at", "path")):
        if word(work, key) not in ("", directory):
            yield f", {label} "
            yield element("code", word(work, key))


def show_facts(rows: Sequence[tuple[str, Child]]) -> Element:
    """Return labelled values; those without one are left out."""
    known = ((name, value) for name, value in rows if not _is_empty(value))
    return element("dl", (element("div", element("dt", name), element("dd", value)) for name, value in known), class_="facts")


def _is_empty(value: Child) -> bool:
    # An element is never empty here, although one without elements in it counts as false.
    return not isinstance(value, Element) and not value


def show_change(facts: JsonObject) -> Iterator[Element]:
    """Return each changed file with its diff."""
    files, changes = parts(facts, "files_changed"), part(facts, "changes")
    shown = 0
    for item in files[:_FILES]:
        lines = word(item, "diff").count("\n")
        shown += lines
        yield _file(item, is_open=bool(lines) and shown <= _OPEN_LINES)
    if len(files) > _FILES:
        yield element("p", f"… {plural(len(files) - _FILES, 'more file')}; the patch has them all", class_="muted")
    others = words(changes, "others")
    patch = part(changes, "patch")
    yield show_facts(
        [
            ("Patch", word(patch, "path") and (element("code", word(patch, "path")), f" ({count(number(patch, 'bytes'))} bytes)")),
            ("Not in the patch", ", ".join(words(changes, "not_in_patch"))),
            ("Changed by others", ", ".join(others)),
            ("Ignored files", count(number(changes, "ignored")) if number(changes, "ignored") else ""),
            ("Found by", word(changes, "method") and ("what the tools told" if word(changes, "method") == "tools" else "snapshots")),
        ]
    )


def _file(item: JsonObject, *, is_open: bool) -> Element:
    path, status, diff = word(item, "path"), word(item, "status"), word(item, "diff")
    if word(item, "renamed_from"):
        status = "renamed"
    modes = f"mode {word(item, 'old_mode')} → {word(item, 'new_mode')}" if word(item, "new_mode") else ""
    about = [
        f"from {word(item, 'renamed_from')}" if word(item, "renamed_from") else "",
        f"is now {word(item, 'renamed_to')}" if word(item, "renamed_to") else "",
        modes,
        "by a command" if word(item, "by") == "command" else "",
        "binary" if item.get("binary") is True else "",
    ]
    mark = {"added": "good", "deleted": "bad"}.get(status, "")
    head = [
        element("span", status, class_=f"badge {mark}".strip()),
        element("code", path, class_="path"),
        element("span", ", ".join(filter(None, about)), class_="muted small"),
        element("span", _lines(number(item, "additions"), number(item, "deletions")), class_="num"),
    ]
    if not diff.strip():
        return element("div", element("div", head, class_="file"), class_="change")
    body = show_diff(diff, language_of(path), label=f"Diff of {first_line(path)}")
    return element("details", element("summary", head, class_="file"), body, class_="change", open=is_open)


def show_check(check: JsonObject) -> Iterator[Element]:
    """Return the command and each run of it."""
    given = words(check, "command")
    # One word is a text for the shell, or needs no quotes.
    command = given[0] if len(given) == 1 else shlex.join(given)
    yield element("p", "Command: ", element("code", command))
    runs = parts(check, "runs")
    for place, run in enumerate(runs):
        passed = run.get("passed") is True
        ended = f"exit code {number(run, 'exit_code'):.0f}" if "exit_code" in run else word(run, "problem") or "ended at its limit"
        head = [
            element("span", "passed" if passed else "failed", class_=f"badge {'good' if passed else 'bad'}"),
            element("b", word(run, "phase")),
            element("span", "ended at its limit" if run.get("timed_out") is True else ended, class_="muted"),
            element("span", duration(number(run, "elapsed_seconds")), class_="muted num"),
        ]
        output = word(run, "output")
        if not output.strip():
            yield element("div", head, class_="run")
            continue
        is_open = place == len(runs) - 1
        yield element("details", element("summary", head, class_="run"), show_code(output), open=is_open)
    if words(check, "put_back"):
        yield element("p", "Protected files that were put back: ", element("code", ", ".join(words(check, "put_back"))))


def show_evidence(trajectory: Trajectory, facts: JsonObject) -> Element:
    """Return what the outcome rests on."""
    evidence, changes, statement = part(facts, "evidence"), part(facts, "changes"), part(facts, "statement")
    statuses = words(evidence, "statuses") or words(facts, "statuses")
    phases = ", ".join(f"{name} {duration(number(part(facts, 'phases'), name))}" for name in part(facts, "phases"))
    cleanup = part(facts, "cleanup")
    versions = (("OpenCode", trajectory.opencode), ("netclaw-opencode", trajectory.version))
    rows: list[tuple[str, Child]] = [
        ("Session", _code(word(facts, "session_id"))),
        ("Decided by", word(evidence, "decided_by").replace("_", " ")),
        ("Finish", word(evidence, "finish") or word(facts, "finish")),
        ("Prompt", _code(word(evidence, "parent_id") or word(facts, "message_id"))),
        ("Answer", _code(word(evidence, "assistant_message_id"))),
        ("Answers of the model", word(evidence, "assistant_messages")),
        ("States seen", " → ".join(statuses)),
        ("Events seen", word(evidence, "events")),
        ("Compactions", word(facts, "compactions") if number(facts, "compactions") else ""),
        ("Phases", phases),
        ("Session afterwards", _cleanup(cleanup)),
        ("Tree before", _code(word(changes, "base_tree"))),
        ("Tree after", _code(word(changes, "final_tree"))),
        ("Patch digest", _code(word(part(changes, "patch"), "sha256"))),
        ("Statement", statement and (element("code", word(statement, "path")), " ", element("code", word(statement, "sha256")))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions if version)),
    ]
    return show_facts(rows)


def _code(value: str) -> Element | None:
    return element("code", value) if value else None


def _cleanup(cleanup: JsonObject) -> str:
    if not cleanup:
        return ""
    deleted = "deleted, and seen gone" if cleanup.get("session_deleted") is True else "kept"
    if "stopped_confirmed" not in cleanup:
        return deleted
    return (
        f"{deleted}; {'nothing was left running' if cleanup['stopped_confirmed'] is True else 'whether something still ran is not known'}"
    )


def show_attempts(facts: JsonObject) -> Iterator[Element]:
    """Return the models that failed before."""
    for item in parts(facts, "attempts"):
        yield element("li", element("code", word(item, "model")), f" {word(item, 'code')}: {word(item, 'message')}")


def show_pending(facts: JsonObject) -> Iterator[Element]:
    """Return what the agent waits for."""
    for item in parts(facts, "pending"):
        asked = [word(each, "question") for each in parts(item, "questions")] or words(item, "patterns")
        yield element("li", element("b", word(item, "permission") or word(item, "kind")), " ", element("code", "; ".join(asked)))
    if word(facts, "next") and items(facts.get("pending")):
        yield element("li", "To refuse it: ", element("code", word(facts, "next")))


__all__ = [
    "show_attempts",
    "show_change",
    "show_check",
    "show_evidence",
    "show_facts",
    "show_head",
    "show_pending",
    "title_of",
]
