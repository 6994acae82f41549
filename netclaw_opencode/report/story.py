"""The story of a task: what was asked, what the model said and did, step by step, each sub-agent within the step that started it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Trajectory, Usage
from netclaw_opencode.report.charts import Span
from netclaw_opencode.report.colours import language_of, show_code
from netclaw_opencode.report.markup import Child, element, shorten
from netclaw_opencode.report.prose import show_prose
from netclaw_opencode.report.sub_agents import SUB_AGENT, find_callers
from netclaw_opencode.report.wording import count, duration, first_line, model_name, money, number, part, plural, word, words

_DEEPEST = 8
"""Sub-agents of sub-agents are shown within one another so far; what is below stands on that level."""
_SHOWN_CHARS = 20_000
"""So much of a prompt or a thought is shown."""
_SUBJECTS = ("command", "filePath", "path", "pattern", "url", "query", "description", "name")
"""What says best what a tool was called for, where it has no title."""


@dataclass(slots=True)
class _Thread:
    """A session with its steps and the sub-agents that it started, each at one of its steps."""

    session: Session
    steps: list[tuple[int, Step]] = field(default_factory=list)
    below: dict[int, list[_Thread]] = field(default_factory=dict)

    @property
    def began(self) -> int:
        return self.steps[0][1].began_ms


def show_story(trajectory: Trajectory, lines: Sequence[str]) -> Iterator[Element]:
    """Return the story. A task of which only a flight record is left has it in words, ``lines``: its steps have no texts."""
    span = Span.of(trajectory)
    if lines or span is None:
        yield element("ol", (element("li", line) for line in lines), class_="lines")
        return
    roots = _threads(trajectory)
    for thread in roots:
        if len(roots) > 1:
            yield element("h3", (thread.session.part or "task").capitalize(), class_="part")
        yield _show_thread(thread, span, depth=0)


def _threads(trajectory: Trajectory) -> list[_Thread]:
    """Return the sessions that are nobody's sub-agent, the others below the steps that started them."""
    threads = {session.session_id: _Thread(session) for session in trajectory.sessions}
    for place, step in enumerate(trajectory.steps):
        threads.setdefault(step.session_id, _Thread(Session(step.session_id))).steps.append((place, step))
    callers = find_callers(trajectory)
    roots: list[_Thread] = []
    placed: set[str] = set()
    # In the order of their beginning a parent comes before its sub-agents; one that does not is none.
    for thread in sorted((each for each in threads.values() if each.steps), key=lambda each: each.began):
        parent_id = thread.session.parent_id if thread.session.part == SUB_AGENT else None
        if parent_id in placed:
            _attach(threads[parent_id], thread, by=callers.get(thread.session.session_id))
        else:
            roots.append(thread)
        placed.add(thread.session.session_id)
    return roots


def _attach(parent: _Thread, child: _Thread, *, by: ToolCall | None) -> None:
    before = [place for place, step in parent.steps if step.began_ms <= child.began] or [parent.steps[0][0]]
    at = next((place for place, step in parent.steps if step is by), before[-1])
    parent.below.setdefault(at, []).append(child)


def _show_thread(thread: _Thread, span: Span, *, depth: int) -> Element:
    shown = element("ol", class_="story")
    for place, step in thread.steps:
        shown.append(_show_step(place, step, span))
        for child in thread.below.get(place, ()):
            session = child.session
            name = " · ".join(filter(None, (first_line(session.title, 120), session.agent)))
            heading = element("h4", element("span", "Sub-agent", class_="badge"), " ", name)
            inner = _show_thread(child, span, depth=depth + 1)
            if depth < _DEEPEST:
                shown.append(element("li", element("section", heading, inner, aria_label=f"Sub-agent {name}"), class_="below"))
            else:
                shown.extend([element("li", heading, class_="below"), *inner])
    return shown


def _show_step(place: int, step: Step, span: Span) -> Element:
    line: Child
    if isinstance(step, Prompt):
        # Prompts are what a reader looks for; the first of all stands open.
        kind, who, line, meta, is_open = "prompt", "Prompt", first_line(step.text), "", place == 0
        body = [] if step.text.strip() == line else [_plain(step.text)]
    elif isinstance(step, ModelCall):
        kind, who = "model", "Summary" if step.summary else "Model"
        line, meta, body = _model_line(step), _model_meta(step), list(_model_body(step))
        is_open = step.error is not None
        kind += " failed" if step.error else ""
    else:
        kind, who, line, meta = "tool", step.tool, _tool_line(step), _took(step)
        kind += " failed" if step.status == "error" else ""
        body, is_open = list(_tool_body(step)), False
    head: list[Child] = [
        element("span", f"+{duration(span.after(step.began_ms))}", class_="at num"),
        element("span", who, class_="who"),
        element("span", line, class_="line"),
        element("span", meta, class_="meta num"),
    ]
    if not body:
        return element("li", element("div", head, class_="step"), id=f"s{place}", class_=kind)
    return element("li", element("details", element("summary", head, class_="step"), body, open=is_open), id=f"s{place}", class_=kind)


def _model_line(call: ModelCall) -> Child:
    if call.error:
        return f"{word(call.error, 'name')}: {first_line(word(call.error, 'message'))}"
    if call.text.strip():
        return first_line(call.text)
    calm = {"tool-calls": "calls tools", "": "no answer was seen"}.get(call.finish, f"no text ({call.finish})")
    return element("span", f"{calm}, after some thought" if call.reasoning.strip() else calm, class_="muted")


def _model_meta(call: ModelCall) -> str:
    total = _tokens(call.usage)
    cost = money(call.usage.cost_usd) if call.usage.cost_usd else ""
    return " · ".join(filter(None, (_took(call), f"{count(total)} tokens" if total else "", cost)))


def _model_body(call: ModelCall) -> Iterator[Element]:
    if call.error and word(call.error, "message") != first_line(word(call.error, "message")):
        yield element("p", shorten(f"{word(call.error, 'name')}: {word(call.error, 'message')}", _SHOWN_CHARS), class_="plain bad")
    if call.reasoning.strip():
        yield element("details", element("summary", "What it thought"), _plain(call.reasoning), class_="inner")
    # One line stands in the head of the step already, unless the error does.
    if call.text.strip() and (call.error or call.text.strip() != first_line(call.text)):
        yield show_prose(call.text)
    usage = call.usage
    if (call.text.strip() or call.reasoning.strip()) and _tokens(usage):
        names = (("input", usage.input), ("output", usage.output), ("thinking", usage.reasoning), ("cache read", usage.cache_read))
        shown = ", ".join(f"{name} {count(value)}" for name, value in (*names, ("cache written", usage.cache_write)) if value)
        by = f"{model_name(call.model)}: " if model_name(call.model) else ""
        yield element("p", f"{by}{shown} tokens", class_="muted small")


def _tool_line(tool: ToolCall) -> str:
    named = next((str(tool.input[key]) for key in _SUBJECTS if isinstance(tool.input.get(key), str) and tool.input[key]), "")
    return first_line(tool.title) or first_line(named)


def _tool_body(tool: ToolCall) -> Iterator[Element]:
    language = language_of(str(tool.input.get("filePath") or ""))
    short: list[Element] = []
    for key, value in tool.input.items():
        if isinstance(value, str) and ("\n" in value or len(value) > 100 or key == "command"):
            yield _titled(key, show_code(value, "bash" if key == "command" else language))
        elif isinstance(value, str | int | float | bool) or value is None:
            shown = value if isinstance(value, str) else json.dumps(value)
            short.append(element("div", element("dt", key), element("dd", element("code", shown))))
        else:
            yield _titled(key, show_code(_json(value), "json"))
    if short:
        yield element("dl", short, class_="inputs")
    if tool.output:
        whole = f" ({count(len(tool.output))} of {plural(tool.output_chars, 'character')})" if tool.output_chars > len(tool.output) else ""
        yield _titled(f"{'error' if tool.status == 'error' else 'output'}{whole}", show_code(tool.output))


def _titled(title: str, block: Element) -> Element:
    return element("div", element("p", title, class_="label"), block)


def _json(value: object) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)[:2000]


def _plain(text: str) -> Element:
    return element("div", shorten(text.strip(), _SHOWN_CHARS), class_="plain")


def _took(step: ModelCall | ToolCall) -> str:
    if step.ended_ms is None:
        return "did not end" if isinstance(step, ModelCall) or step.status in ("running", "pending") else ""
    return duration(max(0, step.ended_ms - step.began_ms) / 1000)


def _tokens(usage: Usage) -> int:
    return usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write


def show_requests(answered: Sequence[JsonObject]) -> Iterator[Element]:
    """Return what the agent asked for, and who answered it how."""
    for item in answered:
        refused = word(item, "answer") == "refuse"
        what = ", ".join(words(item, "patterns") or words(item, "questions")) or word(item, "id")
        kind = word(item, "permission") or word(item, "kind")
        answer = {"allow_once": "allowed once", "allow_always": "allowed for good", "refuse": "refused", "choose": "chosen"}
        by = {"hook": "by a plugin", "policy": f"by rule {word(item, 'rule')} of the policy", "default": "because nobody decided"}
        chosen = item.get("chosen")
        said = word(item, "message") or (_json(chosen) if chosen else "")
        badge = element("span", answer.get(word(item, "answer"), word(item, "answer")), class_=f"badge {'bad' if refused else 'good'}")
        text = (
            element("b", kind),
            " ",
            element("code", what),
            " ",
            element("span", by.get(word(item, "by"), word(item, "by")), class_="muted"),
        )
        yield element("li", badge, element("div", text, said and element("p", said, class_="muted small")))


def final_answer(trajectory: Trajectory) -> str:
    """Return the agent's last words: the last text of the sessions that are nobody's sub-agent."""
    inner = {session.session_id for session in trajectory.sessions if session.part == SUB_AGENT}
    texts = (
        step.text
        for step in reversed(trajectory.steps)
        if isinstance(step, ModelCall) and not step.summary and step.session_id not in inner and step.text.strip()
    )
    return next(texts, "")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a task used. ``input`` and ``output`` are tokens, and 0 if only ``tokens``, the sum, is known."""

    tokens: float
    cost_usd: float
    model_calls: float
    input: float = 0
    output: float = 0


def spent_by(trajectory: Trajectory, facts: JsonObject) -> Spent:
    """Return what was used, as the result or the error says it, else by the sum of the steps."""
    told = part(facts, "usage")
    if told:
        figures = (number(told, key) for key in ("total", "cost_usd", "model_calls", "input", "output"))
        return Spent(*figures)
    told = part(facts, "spent")
    if told:
        return Spent(number(told, "tokens"), number(told, "cost_usd"), number(told, "model_calls"))
    calls = [step for step in trajectory.steps if isinstance(step, ModelCall)]
    whole = Usage()
    for call in calls:
        whole += call.usage
    return Spent(_tokens(whole), whole.cost_usd, len(calls), whole.input, whole.output)


__all__ = ["Spent", "final_answer", "show_requests", "show_story", "spent_by"]
