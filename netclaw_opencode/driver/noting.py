"""Our own decisions, as the flight record keeps them: a rule asked and its answer, a look and its verdict.

Owns the wording of those facts. It changes nothing: what a rule or a look says goes on as it came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from netclaw_opencode.driver.rules import RULES
from netclaw_opencode.errors import DriverError

if TYPE_CHECKING:
    from netclaw_opencode.driver.verdict import Verdict
    from netclaw_opencode.records.recorder import Recorder

P = ParamSpec("P")
T = TypeVar("T")

_RULE_OF: dict[object, str] = {rule.check: rule.id for rule in RULES}


def asked(record: Recorder, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask a rule and note its answer; a refusal goes on as the error that it is."""
    rule = _RULE_OF.get(check, check.__name__.replace("_", "-"))
    try:
        answer = check(*args, **kwargs)
    except DriverError as error:
        record.note("rule", rule=rule, answer="refused", code=error.code)
        raise
    record.note("rule", rule=rule, answer="allowed")
    return answer


def looked(record: Recorder, session_id: str, verdict: Verdict) -> Verdict:
    """Note what a look at the message store, status and requests says of a turn."""
    final = verdict.final
    record.note("look", session_id=session_id, state=verdict.state, code=verdict.code, finish=final.finish if final else None)
    return verdict


__all__ = ["asked", "looked"]
