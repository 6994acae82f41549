# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""Arguments of actions that have parts, as typed dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict


class Thinking(TypedDict):
    """Deeper thinking before the answer. The budget is mapped to the model's nearest variant, and the result says which; a
    model without variants is refused.

    Attributes:
        type: enabled asks for deeper thinking, disabled for none.
        budget_tokens: How many tokens the model may think, in tokens.
    """

    type: Literal["enabled", "disabled"]
    budget_tokens: NotRequired[int]


class Check(TypedDict):
    """A command of yours that says whether the work is right. It runs where the work is; while it fails, the agent mends the
    work.

    Attributes:
        command: Program and arguments; no shell is used.
        shell: The command is one text for /bin/sh.
        deadline_seconds: How long one run may take, in seconds. Then it is ended with everything below it, and has
            failed.
        attempts: Number of times that the agent may mend the work.
        before: Run it before the task, too: it must fail there.
        protect: Files that the agent may not change; what it changed is put back before judging. * stands for any text,
            a pattern that ends with / for all below that folder.
    """

    command: Sequence[str]
    shell: NotRequired[bool]
    deadline_seconds: NotRequired[float]
    attempts: NotRequired[int]
    before: NotRequired[bool]
    protect: NotRequired[Sequence[str]]


__all__ = ["Check", "Thinking"]
