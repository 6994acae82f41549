"""The two pictures of a task: what ran when, and how cost grew. Everything in percent of the width, so that a phone sees all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Trajectory
from netclaw_opencode.report.markup import element
from netclaw_opencode.report.wording import count, duration, elapsed_seconds, first_line, money, plural

_LABEL, _MODEL, _TOOL, _GAP, _AXIS = 22, 16, 10, 16, 26
"""Heights within a lane, in pixels."""
_MOST_TRACKS = 6
_LEAST_GAP = 0.01
"""The least share of the whole that is drawn as a wait."""
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Span:
    """From the first step to the last end, in epoch milliseconds."""

    began: int
    ended: int

    @classmethod
    def of(cls, trajectory: Trajectory) -> Span | None:
        """Return the span of a task; None if it has no steps."""
        if not trajectory.steps:
            return None
        began = min(step.began_ms for step in trajectory.steps)
        ended = max(began + 1, *(_end(step) for step in trajectory.steps))
        if any(not isinstance(step, Prompt) and step.ended_ms is None for step in trajectory.steps):
            # What did not end ran until the call ended; that time is told by another clock, so only its length is taken.
            ended = max(ended, began + round(1000 * (elapsed_seconds(trajectory) or 0)))
        return cls(began, ended)

    def share(self, at_ms: float) -> float:
        """Return the place of a time, in percent."""
        return 100 * (at_ms - self.began) / (self.ended - self.began)

    def after(self, at_ms: float) -> float:
        """Return the seconds since the beginning."""
        return (at_ms - self.began) / 1000


@dataclass(slots=True)
class _Lane:
    session: Session
    models: list[tuple[int, ModelCall]] = field(default_factory=list)
    tools: list[tuple[int, ToolCall, int]] = field(default_factory=list)
    prompts: list[tuple[int, Prompt]] = field(default_factory=list)
    busy_until: list[int] = field(default_factory=list)

    @property
    def height(self) -> int:
        return _LABEL + _MODEL + (_TOOL + 3) * len(self.busy_until) + _GAP


def show_time_line(trajectory: Trajectory, *, linked: bool = True) -> Element | None:
    """Return one lane for each session with its model calls and tools, and the waits in which nothing ran; None without steps.

    Args:
        trajectory: The task.
        linked: Whether a bar leads to its step in the story.
    """
    span = Span.of(trajectory)
    if span is None:
        return None
    lanes = _lanes(trajectory, span)
    height = sum(lane.height for lane in lanes)
    waits = list(_waits(trajectory.steps, span))
    models, tools = sum(len(lane.models) for lane in lanes), sum(len(lane.tools) for lane in lanes)
    label = f"{plural(models, 'model call')}, {plural(tools, 'tool call')}, {plural(len(lanes), 'session')}, {plural(len(waits), 'wait')}"
    chart = element("svg", role="img", width="100%", height=height + _AXIS, class_="time", aria_label=label)
    chart.extend(_ticks(span, height))
    for began, ended in waits:
        title = element("title", f"no agent ran for {duration((ended - began) / 1000)}, from {duration(span.after(began))} on")
        chart.append(_bar(span, began, ended, "wait", title=title, y=0, height=height))
    top = 0
    for lane in lanes:
        chart.extend(_draw(lane, span, top, linked=linked))
        top += lane.height
    return chart


def _lanes(trajectory: Trajectory, span: Span) -> list[_Lane]:
    lanes = {session.session_id: _Lane(session) for session in trajectory.sessions}
    for number, step in enumerate(trajectory.steps):
        lane = lanes.setdefault(step.session_id, _Lane(Session(step.session_id)))
        if isinstance(step, ModelCall):
            lane.models.append((number, step))
        elif isinstance(step, Prompt):
            lane.prompts.append((number, step))
        else:
            lane.tools.append((number, step, _track(lane.busy_until, step.began_ms, _end(step, span))))
    return [lane for lane in lanes.values() if lane.models or lane.tools or lane.prompts]


def _track(busy_until: list[int], began: int, ended: int) -> int:
    """Return the first row in which nothing else runs at that time; tools run side by side."""
    for place, until in enumerate(busy_until):
        if until <= began:
            busy_until[place] = ended
            return place
    if len(busy_until) == _MOST_TRACKS:
        return _MOST_TRACKS - 1
    busy_until.append(ended)
    return len(busy_until) - 1


def _draw(lane: _Lane, span: Span, top: int, *, linked: bool) -> Iterator[Element]:
    session = lane.session
    name = first_line(session.title or session.session_id, 60)
    yield element("text", element("tspan", session.part, class_="strong"), f"  {name}", x="0", y=top + 14)
    for number, prompt in lane.prompts:
        title = element("title", f"prompt at {duration(span.after(prompt.at_ms))}: {first_line(prompt.text)}")
        mark = _bar(span, prompt.at_ms, prompt.at_ms, "prompt", title=title, y=top + _LABEL - 3, height=_MODEL + 6)
        yield _link(mark, number) if linked else mark
    for number, call in lane.models:
        said = first_line(call.text) or call.finish or "no answer"
        kind = "model failed" if call.error else "model summary" if call.summary else "model"
        title = element("title", f"{'summary' if call.summary else 'model call'}, {_times(call, span)}: {said}")
        bar = _bar(span, call.began_ms, _end(call, span), kind, title=title, y=top + _LABEL, height=_MODEL - 2)
        yield _link(bar, number) if linked else bar
    for number, tool, track in lane.tools:
        kind = "tool failed" if tool.status == "error" else "tool open" if tool.ended_ms is None else "tool"
        title = element("title", f"{tool.tool}, {_times(tool, span)}: {first_line(tool.title) or tool.status}")
        y = top + _LABEL + _MODEL + (_TOOL + 3) * track + 1
        bar = _bar(span, tool.began_ms, _end(tool, span), kind, title=title, y=y, height=_TOOL)
        yield _link(bar, number) if linked else bar


def _link(bar: Element, number: int) -> Element:
    # The story itself is for the keyboard; a stop at each bar would be in its way.
    return element("a", bar, href=f"#s{number}", tabindex="-1")


def _bar(span: Span, began: int, ended: int, kind: str, *, title: Element, y: int, height: int) -> Element:
    left, right = span.share(began), span.share(max(began, ended))
    return element("rect", title, x=f"{left:.3f}%", y=y, width=f"{max(right - left, 0.05):.3f}%", height=height, rx="2", class_=kind)


def _times(step: ModelCall | ToolCall, span: Span) -> str:
    begins = f"from {duration(span.after(step.began_ms))} on"
    if step.ended_ms is None:
        return f"{begins}, its end was not seen"
    return f"{duration((step.ended_ms - step.began_ms) / 1000)} {begins}"


def _ticks(span: Span, height: int) -> Iterator[Element]:
    seconds = span.after(span.ended)
    step = next((each for each in _STEPS if seconds / each <= 7), seconds / 6)
    at = 0.0
    while at <= seconds * 0.97:
        x = f"{100 * at / seconds:.3f}%"
        yield element("line", x1=x, x2=x, y1="0", y2=height, class_="tick")
        yield element("text", _tick(at, step), x=x, y=height + 18, text_anchor="middle" if at else "start")
        at += step


def _tick(at: float, step: float) -> str:
    if step >= 3600:
        return f"{at / 3600:g} h"
    return f"{at / 60:g} min" if step >= 60 else f"{at:g} s" if step >= 1 else f"{at:.1f} s"


def _waits(steps: Sequence[Step], span: Span) -> Iterator[tuple[int, int]]:
    until = span.began
    for began, ended in sorted((step.began_ms, _end(step, span)) for step in steps):
        if began - until > (span.ended - span.began) * _LEAST_GAP:
            yield until, began
        until = max(until, ended)


def _end(step: Step, span: Span | None = None) -> int:
    """Return when it ended. If that was not seen: the end of ``span``, or without one its beginning."""
    if isinstance(step, Prompt) or step.ended_ms is None:
        return step.began_ms if span is None or isinstance(step, Prompt) else span.ended
    return max(step.began_ms, step.ended_ms)


def show_spending(trajectory: Trajectory) -> tuple[str, Element] | None:
    """Return what the growing sum is of, and its line; None if nothing was spent."""
    span = Span.of(trajectory)
    calls = sorted((step for step in trajectory.steps if isinstance(step, ModelCall)), key=_end)
    priced = any(call.usage.cost_usd > 0 for call in calls)
    amounts = [call.usage.cost_usd if priced else _tokens(call) for call in calls]
    total = sum(amounts)
    if span is None or total <= 0:
        return None
    show = money if priced else count
    height, sum_up, points = 110, 0.0, [(0.0, 0.0)]
    chart = element("svg", role="img", width="100%", height=height + _AXIS, class_="spending", aria_label=f"grew to {show(total)}")
    chart.extend(_ticks(span, height))
    dots = []
    for call, amount in zip(calls, amounts, strict=True):
        at = span.share(_end(call))
        points.append((at, sum_up))
        sum_up += amount
        points.append((at, sum_up))
        title = element("title", f"{show(sum_up)} at {duration(span.after(_end(call)))}: {show(amount)} for this call")
        dots.append(element("circle", title, cx=f"{at:.3f}%", cy=_level(sum_up, total, height), r="4"))
    points.append((100.0, sum_up))
    line = " ".join(f"{'L' if place else 'M'}{x:.3f} {_level(y, total, height)}" for place, (x, y) in enumerate(points))
    area = element("path", d=f"{line} L100 {height} L0 {height} Z", class_="area")
    stroke = element("path", d=line, class_="line", vector_effect="non-scaling-stroke")
    chart.append(element("svg", area, stroke, viewBox=f"0 0 100 {height}", preserveAspectRatio="none", width="100%", height=height))
    chart.extend(dots)
    chart.append(element("text", show(total), x="0", y="14", class_="strong"))
    return ("Cost over time" if priced else "Tokens over time"), chart


def _level(value: float, total: float, height: int) -> str:
    return f"{height - 2 - (height - 26) * value / total:.1f}"


def _tokens(call: ModelCall) -> float:
    usage = call.usage
    return usage.input + usage.output + usage.reasoning + usage.cache_read + usage.cache_write


def show_legend(kinds: Iterable[tuple[str, str]]) -> Element:
    """Return the words for the kinds of bars."""
    swatches = []
    for kind, text in kinds:
        box = element("svg", element("rect", width="12", height="12", rx="2", class_=kind), width="12", height="12", aria_hidden="true")
        swatches.append(element("li", box, text))
    return element("ul", swatches, class_="legend")


__all__ = ["Span", "show_legend", "show_spending", "show_time_line"]
