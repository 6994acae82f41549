# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""Arguments of actions that have parts, as typed dictionaries."""

from __future__ import annotations

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


__all__ = ["Thinking"]
