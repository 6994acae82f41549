"""Handler of doctor: why a run would hang or fail here, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.doctor import collect_facts, run_checks

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.jsontypes import JsonObject

_GRAVE_FIRST = ("fail", "warn", "unknown", "ok")


async def doctor(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Every check with what was seen and what helps; the graver, the earlier. A finding is a result, not an error."""
    began = context.clock()
    facts = await collect_facts(context.settings, context.driver.connect, directory=read.text(arguments, "directory"))
    checks = sorted(run_checks(facts), key=lambda check: _GRAVE_FIRST.index(check.status))
    counts = {status: sum(check.status == status for check in checks) for status in _GRAVE_FIRST}
    helps = next((check.remedy for check in checks if check.remedy is not None), None)
    return {
        "can_run": counts["fail"] == 0 and facts.serves_sessions is True,
        **({"next": helps} if helps is not None else {}),
        "counts": counts,
        "checks": [check.to_wire() for check in checks],
        "elapsed_seconds": round(context.clock() - began, 3),
    }
