# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``check_policy``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicyRule(Result):
    """The rule that decides; for a request with several patterns the one of the first, or the first that refuses.

    Attributes:
        index: The number of the rule in its list, from 1 on.
        line: The number of its line in the policy file.
        permission: For a permission: its permission.
        pattern: For a permission: its pattern.
        header: For a question: its header, if it has one.
        contains: For a question: its contains, if it has one.
    """

    index: int
    line: int
    permission: str | None = None
    pattern: str | None = None
    header: str | None = None
    contains: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicyByPattern(Result):
    """One pattern.

    Attributes:
        pattern: The command or path.
        answer: What the first matching rule says; refuse where none matches.
        index: The number of that rule in its list, from 1 on; left out where none matches.
    """

    pattern: str
    answer: Literal["allow_once", "refuse"]
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPolicyResult(Result):
    """What check_policy returns.

    Attributes:
        answer: What the agent would be answered.
        by: policy: a rule of the policy file; default: no rule, so it would be refused.
        rule: The rule that decides; for a request with several patterns the one of the first, or the first that
            refuses.
        by_pattern: For a permission: how each pattern fares, in order.
        chosen: For choose: the labels.
        message: For refuse: what the agent would be told.
        turn_goes_on: Whether the agent would work on after this answer; a refusal without a message ends its turn.
        policy_file: The policy file; left out where OPENCODE_DRIVER_POLICY is not set.
    """

    answer: Literal["allow_once", "refuse", "choose"]
    by: Literal["policy", "default"]
    rule: CheckPolicyRule | None = None
    by_pattern: tuple[CheckPolicyByPattern, ...] = ()
    chosen: tuple[str, ...] = ()
    message: str | None = None
    turn_goes_on: bool
    policy_file: str | None = None


__all__ = ["CheckPolicyByPattern", "CheckPolicyResult", "CheckPolicyRule"]
