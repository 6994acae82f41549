"""What the agent is answered when it asks for something: the policy file, and what it says to one request.

Owns the reading of the file (its form is ``schemas/policy.schema.json``) and the matching of its rules, which is pure. What
no rule allows is refused. It knows no turn, asks no plugin and sends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal, cast

from netclaw_opencode._core.caps import NO_CAPS, Caps
from netclaw_opencode._core.documents import Document, Steps, read_json, read_yaml
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.facts import AgentQuestion, Decision, PendingRequest
from netclaw_opencode.jsontypes import JsonObject

Origin = Literal["hook", "policy", "default"]
OnRequest = Literal["refuse", "stop", "return"]
"""What becomes of a request without a decision: refused (the agent goes on), its turn stopped, or handed back."""

_SETTING = "OPENCODE_DRIVER_POLICY"
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@dataclass(frozen=True, slots=True)
class PermissionRule:
    """One rule for permissions; ``number`` is its place in the list, from 1, and ``line`` that in the file."""

    number: int
    line: int
    permission: str
    pattern: str
    allows: bool
    message: str | None = None

    def to_wire(self) -> dict[str, object]:
        """Return the form in which a dry run names it."""
        return {"index": self.number, "line": self.line, "permission": self.permission, "pattern": self.pattern}


@dataclass(frozen=True, slots=True)
class QuestionRule:
    """One rule for questions; ``header`` and ``contains`` must both hold where both are given."""

    number: int
    line: int
    choose: tuple[str, ...]
    header: str | None = None
    contains: str | None = None

    def matches(self, asked: AgentQuestion) -> bool:
        """Return whether the rule is for this question."""
        by_header = self.header is None or self.header.casefold() == asked.header.casefold()
        by_text = self.contains is None or self.contains.casefold() in asked.question.casefold()
        return by_header and by_text

    def fits(self, asked: AgentQuestion) -> bool:
        """Return whether its labels can be chosen there."""
        return set(self.choose) <= set(asked.options) and (asked.multiple or len(self.choose) == 1)

    def to_wire(self) -> dict[str, object]:
        """Return the form in which a dry run names it."""
        given = {"header": self.header, "contains": self.contains}
        return {"index": self.number, "line": self.line} | {name: text for name, text in given.items() if text is not None}


@dataclass(frozen=True, slots=True)
class Ruling:
    """An answer and where it comes from; ``default`` means that there was no decision, which is a refusal.

    ``chosen`` are the labels for each question, ``message`` is what the agent is told with a refusal, ``rule`` the rule that
    decided, and ``steps`` how each pattern of a permission fared.
    """

    answer: Literal["allow_once", "allow_always", "refuse", "choose"]
    by: Origin
    message: str | None = None
    chosen: tuple[tuple[str, ...], ...] = ()
    rule: PermissionRule | QuestionRule | None = None
    steps: tuple[tuple[str, PermissionRule | None], ...] = ()

    @classmethod
    def from_decision(cls, decision: Decision) -> Ruling:
        """Return the ruling that a plugin's decision is."""
        if decision.answer == "answers":
            return cls("choose", "hook", chosen=decision.answers)
        if decision.answer == "reject":
            return cls("refuse", "hook", message=decision.message)
        return cls("allow_once" if decision.answer == "once" else "allow_always", "hook")

    @property
    def decision(self) -> Decision:
        """What is sent to the agent."""
        match self.answer:
            case "allow_once":
                return Decision("once")
            case "allow_always":
                return Decision("always")
            case "choose":
                return Decision("answers", answers=self.chosen)
        return Decision("reject", message=self.message)

    @property
    def turn_goes_on(self) -> bool:
        """Whether the agent works on after this answer: only a plugin's refusal without a message ends its turn."""
        return self.answer != "refuse" or self.by != "hook" or self.message is not None


UNDECIDED = Ruling("refuse", "default")


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a policy file; without a file there are none, and everything is refused by default."""

    permissions: tuple[PermissionRule, ...] = ()
    questions: tuple[QuestionRule, ...] = ()
    refuses_questions: bool = False
    on_request: OnRequest | None = None
    """What becomes of requests without a decision, if the call does not say so itself."""
    caps: Caps = NO_CAPS
    """What no task may spend more than, whatever its caller says."""
    source: Path | None = None

    @property
    def answers_questions(self) -> bool:
        """Whether any question could be answered by a rule."""
        return bool(self.questions)

    def decide(self, request: PendingRequest) -> Ruling:
        """Return the answer to one request."""
        if request.kind == "permission":
            return self._decide_permission(request.permission or "", request.patterns)
        return self._decide_questions(request.questions)

    def _decide_permission(self, permission: str, patterns: tuple[str, ...]) -> Ruling:
        # A request without any pattern has one that is empty: "all of none" would allow whatever it is.
        steps = tuple((pattern, self._first_match(permission, pattern)) for pattern in patterns or ("",))
        for _, rule in steps:
            if rule is not None and not rule.allows:
                return Ruling("refuse", "policy", message=rule.message, rule=rule, steps=steps)
        if any(rule is None for _, rule in steps):
            return Ruling("refuse", "default", steps=steps)
        return Ruling("allow_once", "policy", rule=steps[0][1], steps=steps)

    def _first_match(self, permission: str, pattern: str) -> PermissionRule | None:
        fitting = (rule for rule in self.permissions if matches(permission, rule.permission) and matches(pattern, rule.pattern))
        return next(fitting, None)

    def _decide_questions(self, asked: tuple[AgentQuestion, ...]) -> Ruling:
        if self.refuses_questions:
            return Ruling("refuse", "policy")
        rules = [next((rule for rule in self.questions if rule.matches(item)), None) for item in asked]
        found = [rule for rule, item in zip(rules, asked, strict=True) if rule is not None and rule.fits(item)]
        if not asked or len(found) < len(asked):
            return UNDECIDED
        return Ruling("choose", "policy", chosen=tuple(rule.choose for rule in found), rule=found[0])


def matches(text: str, pattern: str) -> bool:
    """Return whether a pattern covers the whole text, as OpenCode 1.18 has it: ``*`` any text, ``?`` one character, no other signs.

    A blank and ``*`` at the end may be missing: ``git status *`` covers ``git status`` too.
    """
    literal = pattern.replace("[", "[[]")
    return fnmatchcase(text, literal) or (literal.endswith(" *") and fnmatchcase(text, literal[:-2]))


def load_policy(path: Path | None) -> Policy:
    """Read a policy file; without one, nothing is allowed.

    Raises:
        InvalidInput: ``invalid_policy``, that lists every problem with line and column.
    """
    if path is None:
        return Policy()
    document = read_yaml(path)
    problems = list(_find_problems(document))
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InvalidInput(
            "invalid_policy",
            f"{_SETTING} {path}: {_place(first)}{first['message']}{more}; nothing was sent",
            details={"file": str(path), "problems": problems},
        )
    return _policy(document, path)


def _find_problems(document: Document) -> Iterator[dict[str, object]]:
    for fault in document.faults:
        yield _problem(f"{fault.what}; {fault.fix}", fault.line, fault.column)
    if document.faults:
        return
    if not isinstance(document.value, Mapping):
        yield _problem("it is not a map; begin with version: 1", 1, 1)
        return
    for found in find_problems(document.value, _schema(), incoming=True):
        yield _problem(found.message, *document.place_of(_steps(found.path)), field=found.path)
    yield from _find_contradictions(document, document.value)


def _find_contradictions(document: Document, value: JsonObject) -> Iterator[dict[str, object]]:
    """Return what has the right form but cannot mean anything."""
    for index, rule in _rules(value.get("permissions")):
        if rule.get("answer") == "allow_once" and "message" in rule:
            place = document.place_of(("permissions", index, "message"))
            yield _problem(f"permissions[{index}].message: only a refusal has a message", *place, field=f"permissions[{index}].message")
    for index, rule in _rules(value.get("questions")):
        if not ("header" in rule or "contains" in rule):
            place = document.place_of(("questions", index))
            yield _problem(f"questions[{index}]: say by header or contains which questions it is for", *place, field=f"questions[{index}]")


def _rules(value: object) -> Iterator[tuple[int, JsonObject]]:
    for index, rule in enumerate(value if isinstance(value, list) else ()):
        if isinstance(rule, Mapping):
            yield index, rule


def _problem(message: str, line: int | None, column: int | None, *, field: str = "") -> dict[str, object]:
    given = {"field": field or None, "line": line, "column": column}
    return {"message": message} | {name: value for name, value in given.items() if value is not None}


def _place(problem: JsonObject) -> str:
    return f"line {problem['line']}, column {problem.get('column', 1)}: " if "line" in problem else ""


def _policy(document: Document, path: Path) -> Policy:
    value = cast("JsonObject", document.value)
    permissions = tuple(
        PermissionRule(
            number=index + 1,
            line=document.line_of(("permissions", index)) or 0,
            permission=str(rule["permission"]),
            pattern=str(rule["pattern"]),
            allows=rule["answer"] == "allow_once",
            message=None if "message" not in rule else str(rule["message"]),
        )
        for index, rule in _rules(value.get("permissions"))
    )
    questions = tuple(
        QuestionRule(
            number=index + 1,
            line=document.line_of(("questions", index)) or 0,
            choose=tuple(cast("list[str]", rule["choose"])),
            header=cast("str | None", rule.get("header")),
            contains=cast("str | None", rule.get("contains")),
        )
        for index, rule in _rules(value.get("questions"))
    )
    return Policy(
        permissions,
        questions,
        refuses_questions=isinstance(value.get("questions"), Mapping),
        on_request=cast("OnRequest | None", value.get("on_request")),
        caps=Caps.read(cast("JsonObject", value.get("caps") or {})),
        source=path,
    )


@cache
def _schema() -> JsonObject:
    return cast("JsonObject", read_json(find_bundled("schemas/policy.schema.json")).value)


def _steps(path: str) -> Steps:
    return tuple(int(number) if number else name for number, name in _STEP.findall(path))


__all__ = ["UNDECIDED", "Origin", "PermissionRule", "Policy", "QuestionRule", "Ruling", "load_policy", "matches"]
