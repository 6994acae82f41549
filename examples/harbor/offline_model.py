"""What the offline model answers in the tasks of this folder, and what Harbor must therefore report.

Owns the script and the expectations, in one place because each explains the other. Imports nothing of Harbor.
"""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.offline import Hang, Script, Status, Step, Text, ToolCall, Usage

PRICE = {"input": 3.0, "output": 15.0, "cache_read": 0.3}
"""US dollars for a million tokens: the offline model costs nothing, and a price of zero would not be seen to arrive."""

SLUG = """\
import re


def slugify(title):
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
"""
SORTED = "    ordered = sorted(numbers)\n    return ordered[len(numbers) // 2]\n"
MEAN = (
    "    ordered = sorted(numbers)\n    middle = len(ordered) // 2\n    if len(ordered) % 2:\n        return ordered[middle]\n"
    "    return (ordered[middle - 1] + ordered[middle]) / 2\n"
)
ROMAN = """\
LETTERS = {1000: "M", 500: "D", 100: "C", 50: "L", 10: "X", 5: "V", 1: "I"}


def to_roman(number):
    text = ""
    for value, letter in LETTERS.items():
        text += letter * (number // value)
        number %= value
    return text
"""

HANG = "Take all the time that you need."
REFUSE = "Use the key that has been withdrawn."
SLOW = "Write first, and think about it afterwards."
"""Sentences that the runner adds to an instruction, so that the same task ends in another way."""

ANSWER = Usage(1_000, 100)
EDIT = Usage(2_000, 200, cached_tokens=500)


def make_script() -> Script:
    """Return the model's part: right at once, right after the check, never right, never there, refused."""
    script = Script(title="A task of Harbor")
    write: Step = (Text("I write it."), ToolCall("write", {"filePath": "${directory}/slug.py", "content": SLUG}), EDIT)
    script.when("function `slugify(title)`", write, (Text("`slug.py` is written."), ANSWER))
    read: Step = (ToolCall("read", {"filePath": "${directory}/median.py"}), EDIT)
    wrong = "    return numbers[len(numbers) // 2]\n"
    script.when("`median.py` returns wrong results", read, _edit("median.py", wrong, SORTED), (Text("It sorts now."), ANSWER))
    script.when("FAIL: test_even_number", _edit("median.py", SORTED, MEAN), (Text("Two middle ones have a mean now."), ANSWER))
    naive: Step = (ToolCall("write", {"filePath": "${directory}/roman.py", "content": ROMAN}), EDIT)
    script.when("function `to_roman(number)`", naive, (Text("`roman.py` is written."), ANSWER))
    script.when("FAIL: test_subtracting", (Text("The numerals add up; I see nothing to change."), ANSWER))
    script.when(HANG, (ToolCall("list", {"path": "${directory}"}), EDIT), Hang())
    script.when(SLOW, write, Hang())
    script.when(REFUSE, Status(401))
    return script


def _edit(name: str, old: str, new: str) -> Step:
    return (ToolCall("edit", {"filePath": "${directory}/" + name, "oldString": old, "newString": new}), EDIT)


@dataclass(frozen=True, slots=True)
class Expected:
    """What Harbor must report of a trial; ``ending`` is our code, and only for trials of this driver.

    ``calls`` is None if nothing was sent to the model, so that there is no trajectory.
    """

    reward: float | None
    exception: str | None = None
    calls: tuple[Usage, ...] | None = ()
    ending: str | None = None
    verified: bool | None = None
    check_runs: tuple[int, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[int, int, int, float] | None:
        """Return input tokens (those from the cache included), tokens from the cache, output tokens and cost in US dollars."""
        if self.calls is None:
            return None
        asked = sum(call.prompt_tokens for call in self.calls)
        cached = sum(call.cached_tokens for call in self.calls)
        answered = sum(call.completion_tokens for call in self.calls)
        cost = (asked - cached) * PRICE["input"] + cached * PRICE["cache_read"] + answered * PRICE["output"]
        return asked, cached, answered, cost / 1_000_000


TASKS = ("slugify", "median", "roman")
EXPECTED: dict[tuple[str, str], Expected] = {
    **{(task, "oracle"): Expected(1.0) for task in TASKS},
    **{(task, "nop"): Expected(0.0) for task in TASKS},
    ("slugify", "driver"): Expected(1.0, None, (EDIT, ANSWER), "completed", verified=True, check_runs=(0,)),
    ("median", "driver"): Expected(
        *(1.0, None, (EDIT, EDIT, ANSWER, EDIT, ANSWER), "completed"), verified=True, check_runs=(1, 0), said=("FAIL: test_even_number",)
    ),
    ("roman", "driver"): Expected(
        *(0.0, None, (EDIT, ANSWER, ANSWER), "check_failed"), check_runs=(1, 1), said=("FAIL: test_subtracting", "check_failed")
    ),
    ("slugify", "out of time"): Expected(0.0, "AgentTimeoutError", (EDIT,), "turn_timeout", said=("turn_timeout",)),
    ("slugify", "cancelled by Harbor"): Expected(0.0, "AgentTimeoutError", (EDIT,), "cancelled", said=("cancelled",)),
    ("slugify", "key refused"): Expected(None, "AgentAuthenticationError", (), "provider_auth", said=("provider_auth",)),
    ("slugify", "unknown model"): Expected(None, "ModelNotFoundError", None, "model_not_found"),
    # The work that was there when the cap was reached is judged, and it is right.
    ("slugify", "over the cap"): Expected(1.0, "NonZeroAgentExitCodeError", (EDIT,), "budget_exceeded", said=("budget_exceeded",)),
}
INSTALLED = {("slugify", "installed"): EXPECTED["slugify", "driver"]}
"""What is added where the agent is to install itself."""
