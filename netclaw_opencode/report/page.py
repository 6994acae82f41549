"""The page of one task, made from its transcript: one HTML file, for people.

Owns which sections there are and in what order: what a reader decides by comes first (the answer, the checks, the change), how it came
to be after it. A section that has nothing to show is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.records.trajectory import Trajectory
from netclaw_opencode.report.charts import show_legend, show_spending, show_time_line
from netclaw_opencode.report.colours import limit_colours
from netclaw_opencode.report.markup import Child, element, write_document
from netclaw_opencode.report.prose import show_prose
from netclaw_opencode.report.sections import (
    show_attempts,
    show_change,
    show_check,
    show_evidence,
    show_head,
    show_pending,
    title_of,
)
from netclaw_opencode.report.story import final_answer, show_requests, show_story
from netclaw_opencode.report.wording import at_time, outcome_words, part, parts, words

_LEGEND = (
    ("model", "model call, with the tools in it"),
    ("tool", "tool"),
    ("tool failed", "failed"),
    ("wait", "no agent ran: a check, a wait"),
    ("prompt", "prompt"),
)


def render(trajectory: Trajectory) -> str:
    """Return the whole page of a task.

    What a failed task had done is read from its error's details. Of a flight record its lines, ``story``, are the story, since its steps
    have no texts.
    """
    facts = trajectory.result if trajectory.result is not None else part(trajectory.error or {}, "details")
    with limit_colours():
        sections = [(name, title, body) for name, title, body in _sections(trajectory, facts) if body]
    links = (element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections)
    body = [
        element("a", "To the content", href="#content", class_="skip"),
        element("header", element("div", show_head(trajectory, facts), class_="wide"), class_="head"),
        element("nav", element("ul", links, class_="wide"), class_="jump", aria_label="Sections"),
        element("main", (_section(*section) for section in sections), class_="wide", id="content"),
        element("footer", element("div", _foot(trajectory), class_="wide"), class_="foot"),
    ]
    return "".join(write_document(f"{outcome_words(trajectory.outcome)}: {title_of(trajectory)}", body, styles=("base.css", "task.css")))


def _section(name: str, title: str, body: list[Element]) -> Element:
    return element("section", element("h2", title, id=name), body, class_="card", aria_labelledby=name)


def _sections(trajectory: Trajectory, facts: JsonObject) -> Iterator[tuple[str, str, list[Element]]]:
    answer = final_answer(trajectory)
    yield "answer", "Answer" if trajectory.error is None else "Last words of the agent", [show_prose(answer)] if answer else []
    yield "pending", "Waiting for", _listed(show_pending(facts))
    check = part(facts, "check")
    yield "checks", "Checks", list(show_check(check)) if check else []
    known = "files_changed" in facts or part(facts, "changes")
    change = list(show_change(facts)) if known else []
    if known and not parts(facts, "files_changed"):
        change.insert(0, element("p", "No file was changed.", class_="muted"))
    yield "change", "Change", change
    yield "time", "Time line", _time(trajectory, linked=not words(facts, "story"))
    spending = show_spending(trajectory)
    yield "spending", spending[0] if spending else "", [element("div", spending[1], class_="chart")] if spending else []
    lines = words(facts, "story")
    yield "story", "Story", list(show_story(trajectory, lines)) if trajectory.steps or lines else []
    answered = parts(facts, "answered") or parts(facts, "refused")
    yield "requests", "Asked and answered", _listed(show_requests(answered), "requests")
    yield "attempts", "Models that failed before", _listed(show_attempts(facts))
    evidence = show_evidence(trajectory, facts)
    yield "evidence", "Evidence", [evidence] if len(evidence) else []
    yield "notes", "Notes", _listed(element("li", note) for note in words(facts, "notes"))
    yield "left-out", "What is not on this page", _listed(element("li", text) for text in trajectory.left_out)


def _listed(found: Iterator[Element], kind: str = "plain-list") -> list[Element]:
    shown = list(found)
    return [element("ul", shown, class_=kind)] if shown else []


def _time(trajectory: Trajectory, *, linked: bool) -> list[Element]:
    chart = show_time_line(trajectory, linked=linked)
    if chart is None:
        return []
    return [element("div", chart, class_="chart"), show_legend(_LEGEND)]


def _foot(trajectory: Trajectory) -> Child:
    ended = f", which ended {at_time(trajectory.ended_at)}" if trajectory.ended_at else ""
    return f"Made by netclaw-opencode from the transcript of {trajectory.action}{ended}. What agents say and write is shown as text."


__all__ = ["render"]
