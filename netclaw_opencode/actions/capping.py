"""Caps of a task: read from the call and the policy, and refused where they could not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode._core.caps import NO_CAPS, Caps
from netclaw_opencode.driver.spending import Budget
from netclaw_opencode.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.driver.turn import Prompt
    from netclaw_opencode.jsontypes import JsonObject
    from netclaw_opencode.opencode.connection import Connection


def read_budget(arguments: JsonObject, context: ActionContext) -> Budget:
    """Return what this call may spend, in all its turns together."""
    return Budget(context.driver.caps(Caps.read(arguments)))


async def require_price(connection: Connection, prompt: Prompt, budget: Budget, *, directory: str) -> None:
    """Refuse a cap in dollars where the model has no price: it would never be reached.

    Raises:
        InvalidInput: ``model_without_price``; nothing was sent.
    """
    if budget.caps.max_cost_usd is None:
        return
    catalogue = await connection.catalogue(directory)
    model = prompt.model or catalogue.default
    if model is None or not catalogue.find(model).has_price:
        raise InvalidInput(
            "model_without_price",
            f"max_cost_usd cannot hold: the server knows no price of {model or 'its default model'}; nothing was sent",
            details={"model": str(model or "default")},
        )


def require_no_caps(context: ActionContext) -> None:
    """Refuse a turn that nobody follows where the policy has caps: they hold only while a call looks.

    Raises:
        Refused: ``caps_need_waiting``.
    """
    caps = context.driver.caps(NO_CAPS)
    if caps:
        raise Refused(
            "caps_need_waiting",
            f"the policy caps what a task may spend ({', '.join(caps.to_wire())}), which holds only while a call follows it",
        )


def note_of(budget: Budget) -> list[str]:
    """Say of a task that ended well that its last model call went over a cap."""
    why = budget.exceeded()
    return [f"the last model call reached a cap: {why}"] if why is not None and budget.spent else []


__all__ = ["note_of", "read_budget", "require_no_caps", "require_price"]
