"""The page of a batch: counts, failures by code, and a table of all tasks in which each row leads to the task's own page.

Owns the form of a row. Filters and sorting need the page's script; everything else works without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element

from netclaw_opencode.errors import CODES
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.report.markup import element, to_html, write_document
from netclaw_opencode.report.wording import count, duration, first_line, money, number, part, parts, word

_MARKS = {"completed": "good", "failed": "bad", "cancelled": "warn"}
_STATES = ("completed", "failed", "cancelled", "running", "waiting")
_TEXT_CHARS = 240
_TITLE_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """One task of a batch. What is not known is None and stays empty in the table.

    Attributes:
        id: The task's id.
        state: ``completed``, ``failed``, ``cancelled``, ``running`` or ``waiting``.
        code: How it failed, an error code.
        attempts: How often it was begun.
        seconds: Time of its last run.
        cost_usd: What it cost, in US dollars.
        tokens: Number of tokens that it used.
        files_changed: Number of files that it changed.
        verified: Whether its check passed; None if it has none.
        text: What the agent said, or why the task failed; its first line is shown.
        page: The page of the task, as a path relative to the page of the batch, with ``/`` between folders.
    """

    id: str
    state: str
    code: str | None = None
    attempts: int | None = None
    seconds: float | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    files_changed: int | None = None
    verified: bool | None = None
    text: str = ""
    page: str | None = None

    @classmethod
    def from_item(cls, item: JsonObject, *, page: str | None = None) -> BatchRow:
        """Return the row of one result, as ``get_batch_results`` and the results file have it."""
        data, error = part(item, "data"), part(item, "error")
        found = data or part(error, "details")
        usage = part(found, "usage") or part(found, "spent")
        verified = found.get("verified")
        return cls(
            id=word(item, "id"),
            state=word(item, "state"),
            code=word(error, "code") or None,
            attempts=int(number(item, "attempts")),
            seconds=number(item, "elapsed_seconds"),
            cost_usd=number(usage, "cost_usd") if usage else None,
            tokens=int(number(usage, "total") or number(usage, "tokens")) if usage else None,
            files_changed=len(parts(found, "files_changed")) if "files_changed" in found else None,
            verified=verified if isinstance(verified, bool) else False if word(error, "code") == "check_failed" else None,
            text=word(data, "text") or word(error, "message"),
            page=page,
        )


def render_batch(summary: JsonObject, rows: Iterable[BatchRow]) -> str:
    """Return the whole page.

    Args:
        summary: What ``get_batch`` returns: name, state, total, counts, failures, cost_usd.
        rows: The tasks, in the order in which they are shown first.
    """
    return "".join(write_batch(summary, rows))


def write_batch(summary: JsonObject, rows: Iterable[BatchRow]) -> Iterator[str]:
    """Return the page in pieces, for a batch too large to stand in memory twice. The arguments are those of ``render_batch``."""
    name = word(summary, "name") or word(summary, "batch_id") or "Batch"
    # The rows are written one by one, so the page is cut where they come in.
    before, after = "".join(write_document(name, [_body(summary, name)], styles=("base.css", "batch.css"), script="batch.js")).split(_ROWS)
    yield f"{before}<tbody>\n"
    for row in rows:
        yield to_html(_row(row)) + "\n"
    yield f"</tbody>{after}"


_ROWS = "<tbody></tbody>"


def _body(summary: JsonObject, name: str) -> Element:
    counts = part(summary, "counts")
    total = number(summary, "total") or sum(number(counts, state) for state in _STATES)
    failures = sorted(part(summary, "failures").items(), key=lambda pair: (-number({"n": pair[1]}, "n"), pair[0]))
    failed = {code: number({"n": found}, "n") for code, found in failures}
    return element(
        "div",
        element("a", "To the tasks", href="#tasks", class_="skip"),
        element("header", element("div", _head(summary, name, counts, total), class_="wide"), class_="head"),
        element("main", _failures(failed), _tasks(counts, failed), class_="wide"),
        element("footer", element("div", "Made by netclaw-opencode. ", word(summary, "batch_id"), class_="wide"), class_="foot"),
    )


def _head(summary: JsonObject, name: str, counts: JsonObject, total: float) -> Iterator[Element]:
    state = word(summary, "state")
    yield element("p", "Batch", class_="kicker")
    if state:
        mark = (
            "good" if state == "done" and not number(counts, "failed") else "warn" if state in ("halted", "cancelled", "paused") else None
        )
        halted = f": {word(summary, 'halted')}" if word(summary, "halted") else ""
        yield element("p", element("span", f"{state}{halted}", class_=f"badge {mark or ''}".strip()), class_="badges")
    yield element("h1", element("bdi", first_line(name, _TITLE_CHARS)))
    shown: list[tuple[str, str, str]] = [("Tasks", count(total), "")]
    for key in _STATES:
        found = number(counts, key)
        if found or key == "completed":
            shown.append((key.capitalize(), count(found), f"{100 * found / total:.0f} %" if total else ""))
    shown.append(("Cost", money(number(summary, "cost_usd")), "by the server's prices"))
    if number(summary, "per_minute"):
        shown.append(("Pace", f"{number(summary, 'per_minute'):.1f}", "tasks a minute"))
    tiles = (element("div", element("dt", title), element("dd", value, more and element("small", more))) for title, value, more in shown)
    yield element("dl", tiles, class_="tiles")
    yield _share(counts, total)


def _share(counts: JsonObject, total: float) -> Element:
    chart = element("svg", role="img", width="100%", height="10", class_="share", aria_label="Share of each state")
    left = 0.0
    for state in _STATES[:4]:
        width = 100 * number(counts, state) / total if total else 0
        if width:
            title = element("title", f"{state}: {count(number(counts, state))}")
            chart.append(element("rect", title, x=f"{left:.3f}%", width=f"{width:.3f}%", height="10", class_=state))
        left += width
    return chart


def _failures(failed: dict[str, float]) -> Element | None:
    if not failed:
        return None
    most = max(failed.values()) or 1
    shown = []
    for code, found in failed.items():
        why = f" {CODES[code].summary}" if code in CODES else ""
        bar = element("svg", element("rect", width=f"{100 * found / most:.2f}%", height="4"), width="100%", height="4", aria_hidden="true")
        shown.append(
            element("li", element("span", element("code", code), element("span", why, class_="muted")), element("b", count(found)), bar)
        )
    heading = element("h2", "Failures by code", id="failures")
    return element("section", heading, element("ul", shown, class_="codes"), class_="card", aria_labelledby="failures")


def _tasks(counts: JsonObject, failed: dict[str, float]) -> Element:
    states = [state for state in _STATES if number(counts, state)] or list(_STATES)
    form = element(
        "form",
        _choice("State", "state", states),
        _choice("Code", "code", failed),
        element("label", "Id or text", element("input", type="search", name="text", autocomplete="off", spellcheck="false"), class_="grow"),
        element("button", "Show all", type="reset"),
        class_="filters",
        hidden=True,
        role="search",
    )
    titles = ("Task", "State", "Verified", "Begun", "Time", "Cost", "Tokens", "Files")
    # A table that is laid out as a grid is one for a screen reader only if it says so.
    heads = (element("th", title, scope="col", role="columnheader", class_="right" if at > 2 else None) for at, title in enumerate(titles))
    head = element("thead", element("tr", heads, role="row"), role="rowgroup")
    table = element("table", head, element("tbody"), role="table", aria_labelledby="tasks")
    shown = element("p", class_="muted small", id="shown", aria_live="polite")
    nothing = element("p", "No task fits.", class_="none", id="none", hidden=True)
    return element("section", element("h2", "Tasks", id="tasks"), form, shown, table, nothing, class_="card", aria_labelledby="tasks")


def _choice(title: str, name: str, values: Iterable[str]) -> Element:
    every = element("option", "all", value="")
    return element("label", title, element("select", every, (element("option", value, value=value) for value in values), name=name))


def _row(row: BatchRow) -> Element:
    name = element("bdi", first_line(row.id, _TITLE_CHARS) or "(no id)")
    task = element("a", name, href=_link(row.page)) if row.page else name
    text = first_line(row.text, _TEXT_CHARS)
    verified = {True: ("yes", "good"), False: ("no", "bad")}.get(row.verified) if row.verified is not None else None
    return element(
        "tr",
        element("td", task, text and element("p", text), class_="task", role="cell"),
        element(
            "td",
            element("span", row.state, class_=f"badge {_MARKS.get(row.state, '')}".strip()),
            row.code and element("code", row.code, class_="code"),
            role="cell",
        ),
        element(
            "td",
            verified and element("span", verified[0], class_=f"badge {verified[1]}"),
            class_="rest" if verified else "rest empty",
            data_label="verified",
            data_n={True: 1, False: 0, None: -1}[row.verified],
            role="cell",
        ),
        _figure("begun", row.attempts, count),
        _figure("time", row.seconds, duration),
        _figure("cost", row.cost_usd, money),
        _figure("tokens", row.tokens, count),
        _figure("files", row.files_changed, count),
        role="row",
        data_state=row.state,
        data_code=row.code,
    )


def _figure(label: str, value: float | None, show: Callable[[float], str]) -> Element:
    kind = "right num rest" if value is not None else "right num rest empty"
    shown = None if value is None else show(value)
    return element("td", shown, class_=kind, data_label=label, data_n=-1 if value is None else value, role="cell")


def _link(page: str) -> str:
    # Whatever the name is, it stays a path below this page: no scheme, no host, no query.
    return f"./{quote(page.encode('utf-8', 'replace'), safe='/')}"


__all__ = ["BatchRow", "render_batch", "write_batch"]
