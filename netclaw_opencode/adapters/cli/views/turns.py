"""A finished turn: what the model said, what it changed, what it took, and why the result can be believed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from netclaw_opencode.adapters.cli.terminal import json_text
from netclaw_opencode.adapters.cli.views import lists
from netclaw_opencode.adapters.cli.views.reading import (
    Data,
    facts,
    headline,
    model_of,
    number,
    part,
    parts,
    plural,
    seconds,
    text,
    word,
    words,
)

_SIGNS = {"added": ("A", "green"), "modified": ("M", "yellow"), "deleted": ("D", "red")}
_TOOL_MARKS = {"completed": ("✓", "green"), "error": ("✗", "red")}
_DIFF_STYLES = (("+++", "bold"), ("---", "bold"), ("@@", "cyan"), ("+", "green"), ("-", "red"))
_DIFF_HEADS = ("Index: ", "diff --git", "index ", "=====")
_DIFF_LINES = 80
_CUTS = (
    ("truncated", "the model hit its output limit"),
    ("filtered", "a content filter cut in"),
    ("empty_final", "the last message is empty"),
)


def turn(data: Data) -> Iterator[RenderableType]:
    """TURN: a result of ``run_task``, ``send_message``, ``get_session_result``, ``wait_for_session``."""
    if data.get("structured") is not None:
        yield Text(json_text(data["structured"], indent=2))
    else:
        yield Text(text(data, "text").strip())
    files = parts(data, "files_changed")
    if files:
        yield Text("")
        yield Text("Files changed", style="bold")
        for file in files:
            yield from changed_file(file)
    yield Text("")
    if parts(data, "tools"):
        yield Text("Tools", style="bold")
        yield tools(parts(data, "tools"))
        yield Text("")
    waits = word(data, "state") == "waiting"
    took = seconds(number(data, "elapsed_seconds"))
    yield headline("?", "magenta", f"waits for an answer after {took}") if waits else headline("✓", "green", f"finished in {took}")
    yield Padding(outcome(data), (0, 0, 0, 2))
    if waits:
        yield from lists.pending(data)
        yield Text.assemble(("next: ", "dim"), (word(data, "next"), "cyan"))


def plan_and_implementation(data: Data) -> Iterator[RenderableType]:
    """Return the two turns of ``run_plan_and_implement``, one after the other."""
    yield Text("Plan", style="bold reverse")
    yield from turn(part(data, "plan"))
    yield Text("")
    yield Text("Implementation", style="bold reverse")
    yield from turn(part(data, "implementation"))
    yield Text("")
    cleanup = part(data, "cleanup")
    kept = words(cleanup, "sessions_kept")
    yield facts(
        ("elapsed", seconds(number(data, "elapsed_seconds"))),
        ("sessions", f"kept {', '.join(kept)}" if kept else f"{len(words(cleanup, 'sessions_deleted'))} deleted"),
        ("work", work_line(part(data, "work"))),
        *(("note", note) for note in words(data, "notes")),
    )


def changed_file(file: Data) -> Iterator[RenderableType]:
    """One changed file with its diff, cut where it is long."""
    sign, style = _SIGNS.get(word(file, "status"), ("?", "dim"))
    head = Text.assemble("  ", (sign, f"bold {style}"), " ", word(file, "path"))
    head.append(f"  +{number(file, 'additions'):g}", "green").append(f" -{number(file, 'deletions'):g}", "red")
    yield head
    lines = [line for line in text(file, "diff").splitlines() if not line.startswith(_DIFF_HEADS)]
    for line in lines[:_DIFF_LINES]:
        yield Text("    " + line, style=next((style for start, style in _DIFF_STYLES if line.startswith(start)), ""))
    if len(lines) > _DIFF_LINES:
        yield Text(f"    … {plural(len(lines) - _DIFF_LINES, 'more line')} (--format json has them all)", style="dim")


def tools(calls: list[Data]) -> Table:
    """Return the tool calls in their order."""
    table = Table.grid(padding=(0, 1))
    for call in calls:
        mark, style = _TOOL_MARKS.get(word(call, "status"), ("…", "yellow"))
        table.add_row(Text("  " + mark, style=style), Text(word(call, "tool"), style="bold"), Text(word(call, "title")))
    return table


def outcome(data: Data) -> Table:
    """Model, usage, times, evidence, session and notes of a turn."""
    thinking = part(data, "thinking")
    return facts(
        ("model", model_of(part(data, "model"))),
        ("thinking", thinking_line(thinking) if thinking else ""),
        ("usage", usage_line(part(data, "usage"))),
        ("times", ", ".join(f"{name} {seconds(number(part(data, 'phases'), name))}" for name in part(data, "phases"))),
        ("evidence", evidence_line(part(data, "evidence"))),
        ("session", _session_line(data)),
        *(("check", check_line(run)) for run in parts(part(data, "check"), "runs")),
        ("put back", ", ".join(words(part(data, "check"), "put_back"))),
        ("statement", word(part(data, "statement"), "path")),
        ("patch", word(part(part(data, "changes"), "patch"), "path")),
        ("work", work_line(part(data, "work"))),
        ("said before", plural(len(parts(data, "messages")), "text") + " (--format json has them)" if parts(data, "messages") else ""),
        ("context", f"summed up {plural(number(data, 'compactions'), 'time')}" if number(data, "compactions") else ""),
        ("refused", plural(len(parts(data, "refused")), "request") if parts(data, "refused") else ""),
        *(("asked", answered_line(item)) for item in parts(data, "answered")),
        ("cut", _cut_line(data)),
        *(("note", note) for note in words(data, "notes")),
    )


def usage_line(usage: Data) -> str:
    """Tokens and cost on one line."""
    if not usage:
        return ""
    counts = [f"{number(usage, key):,.0f} {label}" for key, label in (("input", "in"), ("output", "out")) if key in usage]
    counts += [
        f"{number(usage, key):,.0f} {label}"
        for key, label in (("reasoning", "reasoning"), ("cache_read", "from cache"), ("cache_write", "to cache"))
        if number(usage, key)
    ]
    line = "tokens: " + ", ".join(counts) + f"; ${number(usage, 'cost_usd'):.4f}"
    if number(usage, "model_calls"):
        line += f"; {plural(number(usage, 'model_calls'), 'model call')}"
    return line + (f"; {plural(number(usage, 'sessions'), 'session')}" if number(usage, "sessions") > 1 else "")


def evidence_line(evidence: Data) -> str:
    """Return why the result is taken as finished."""
    if not evidence:
        return ""
    answer, prompt = word(evidence, "assistant_message_id"), word(evidence, "parent_id")
    line = f"message {answer} answers {prompt} and ended with {word(evidence, 'finish')!r}"
    statuses = " → ".join(words(evidence, "statuses"))
    decided = word(evidence, "decided_by").replace("_", " ")
    return line + (f"; status {statuses}" if statuses else "") + (f"; decided by the {decided}" if decided else "")


def answered_line(answered: Data) -> str:
    """Return what the agent asked for, what it was answered, and by whom."""
    of_permission = " ".join((word(answered, "permission"), ", ".join(words(answered, "patterns")))).strip()
    asked = of_permission or "; ".join(words(answered, "questions"))
    chosen = answered.get("chosen")
    labels = [", ".join(words({"labels": item}, "labels")) for item in chosen] if isinstance(chosen, list) else []
    said = "; ".join(labels) or word(answered, "answer").replace("_", " ")
    rule = f", rule {word(answered, 'rule')}" if "rule" in answered else ""
    message = f": {word(answered, 'message')}" if "message" in answered else ""
    return f"{asked} → {said} (by {word(answered, 'by')}{rule}){message}"


def check_line(run: Data) -> str:
    """One run of the caller's check."""
    ending = f"exit code {word(run, 'exit_code')}" if "exit_code" in run else word(run, "problem") or "ended at its limit"
    return f"{'green' if run.get('passed') is True else 'red'} {word(run, 'phase')}: {ending}, {seconds(number(run, 'elapsed_seconds'))}"


def work_line(work: Data) -> str:
    """Return where isolated work is, and how it stands."""
    if not work:
        return ""
    if word(work, "state") == "applied" and work.get("removed") is True:
        return f"{word(work, 'work_id')} applied to {word(work, 'source')}: {plural(len(words(work, 'applied')), 'file')}"
    branch = f", branch {word(work, 'branch')}" if word(work, "branch") else ""
    return f"{word(work, 'work_id')} ({word(work, 'isolation')}, {word(work, 'state')}) in {word(work, 'path')}{branch}"


def thinking_line(thinking: Data) -> str:
    """Return which variant stood in for the thinking budget."""
    line = f"variant {word(thinking, 'variant')}"
    if "requested_budget_tokens" in thinking:
        line += f" for a budget of {number(thinking, 'requested_budget_tokens'):,.0f} tokens"
    return line


def _session_line(data: Data) -> str:
    line = word(data, "session_id")
    if part(data, "cleanup").get("session_deleted") is True:
        line += " (deleted)"
    elif data.get("session_kept") is True:
        line += " (kept)"
    return line + (f", forked from {word(data, 'forked_from')}" if word(data, "forked_from") else "")


def _cut_line(data: Data) -> str:
    return "; ".join(what for key, what in _CUTS if data.get(key) is True)


__all__ = [
    "changed_file",
    "evidence_line",
    "outcome",
    "plan_and_implementation",
    "thinking_line",
    "tools",
    "turn",
    "usage_line",
    "work_line",
]
