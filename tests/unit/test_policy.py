"""Policy files: what is allowed, by which rule, and how a wrong file is told. Nothing is allowed but by a rule."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netclaw_opencode._core.policy import UNDECIDED, PermissionRule, Policy, QuestionRule, Ruling, load_policy, matches
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.facts import AgentQuestion, Decision, PendingRequest
from netclaw_opencode.manifest.schema_rules import broken_rules

# Few characters, so that texts and patterns often meet: signs of regular expressions and of other globs among them.
CHARACTERS = "ab *?[]!\\.+(|^$/\n"
TEXTS = st.text(CHARACTERS, max_size=8)
PATTERNS = st.text(CHARACTERS, min_size=1, max_size=6)
PERMISSIONS = st.sampled_from(["bash", "edit", "b*", "*", "e?it", "read"])
ASKED = st.sampled_from(["bash", "edit", "read", "", "bashful"])
RULES = st.lists(st.builds(lambda *parts: parts, PERMISSIONS, PATTERNS, st.booleans()), max_size=6)


def policy_of(rules: list[tuple[str, str, bool]]) -> Policy:
    """A policy with these rules: permission, pattern, whether it allows."""
    return Policy(tuple(PermissionRule(place + 1, 0, *rule) for place, rule in enumerate(rules)))


def asked(permission: str, *patterns: str) -> PendingRequest:
    """A permission that the agent asks for."""
    return PendingRequest("permission", "per_1", "ses_1", "/p", permission=permission, patterns=patterns)


def asks(*questions: AgentQuestion) -> PendingRequest:
    """A question that the agent puts."""
    return PendingRequest("question", "que_1", "ses_1", "/p", questions=questions)


def covers(pattern: str, text: str) -> bool:
    """The same as ``matches``, told in another way: as OpenCode 1.18 builds its regular expression."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    if pattern.endswith(" *"):
        expression = expression[: -len(re.escape(" ") + ".*")] + "( .*)?"
    return re.fullmatch(expression, text, re.DOTALL) is not None


@given(TEXTS, PATTERNS)
def test_patterns_match_as_those_of_opencode(text: str, pattern: str) -> None:
    """``*`` and ``?`` alone are special; brackets, backslashes and dots stand for themselves."""
    assert matches(text, pattern) == covers(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("git status *", ["git status", "git status ", "git status -s\nrm x"], ["git statusx", "git", "xgit status"]),
        ("src/*", ["src/", "src/a/b.py", "src/../x"], ["src", "lib/src/a"]),
        ("?.py", ["a.py"], [".py", "ab.py", "axpy"]),
        ("[ab]", ["[ab]"], ["a", "b"]),
        ("a[!b]c", ["a[!b]c"], ["axc"]),
        ("*", ["", "anything\nat all"], []),
        ("a", ["a"], ["A", "aa", ""]),
    ],
)
def test_a_pattern_covers_the_whole_text(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    """Never a part of it; small and capital letters differ."""
    assert [matches(text, pattern) for text in covered] == [True] * len(covered)
    assert [matches(text, pattern) for text in not_covered] == [False] * len(not_covered)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    """A policy of many stars against a long text ends at once, whatever stands in either."""
    assert not matches("a" * 20_000, "*a" * 200 + "b")


@given(RULES, ASKED, st.lists(TEXTS, max_size=4))
def test_nothing_is_allowed_that_an_allowing_rule_does_not_cover(
    rules: list[tuple[str, str, bool]], permission: str, texts: list[str]
) -> None:
    """For every pattern of an allowed request there is an allowing rule, and no refusing one stands before it."""
    ruling = policy_of(rules).decide(asked(permission, *texts))

    def first(text: str) -> bool:
        return next((allows for kind, pattern, allows in rules if covers(kind, permission) and covers(pattern, text)), False)

    assert (ruling.answer == "allow_once") == all(first(text) for text in texts or [""])
    assert (ruling.decision.answer == "once") == (ruling.answer == "allow_once")
    assert ruling.answer in ("allow_once", "refuse")


@given(RULES, ASKED, st.lists(TEXTS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_patterns_does_not_matter_for_the_answer(
    rules: list[tuple[str, str, bool]], permission: str, texts: list[str], random: object
) -> None:
    """All must be allowed, in whatever order they come."""
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    policy = policy_of(rules)
    assert policy.decide(asked(permission, *texts)).answer == policy.decide(asked(permission, *shuffled)).answer


@given(RULES, ASKED, st.lists(TEXTS, min_size=1, max_size=4))
def test_more_patterns_never_turn_a_refusal_into_an_allowance(
    rules: list[tuple[str, str, bool]], permission: str, texts: list[str]
) -> None:
    """What is refused stays refused when the agent asks for still more."""
    policy = policy_of(rules)
    if policy.decide(asked(permission, *texts)).answer == "allow_once":
        assert policy.decide(asked(permission, *texts[:-1])).answer == "allow_once" or not texts[:-1]


@given(RULES, RULES, ASKED, TEXTS)
def test_the_first_matching_rule_decides(
    before: list[tuple[str, str, bool]], after: list[tuple[str, str, bool]], permission: str, text: str
) -> None:
    """Rules behind a matching one change nothing."""
    alone = policy_of(before).decide(asked(permission, text))
    together = policy_of(before + after).decide(asked(permission, text))
    if alone.rule is not None:
        assert together == alone


def test_without_a_file_everything_is_refused_by_default() -> None:
    """Nobody decided; the agent is told so, and goes on."""
    policy = load_policy(None)
    for request in (asked("bash", "ls"), asked("bash"), asks(AgentQuestion("Which?", "W", ("a",), multiple=False))):
        ruling = policy.decide(request)
        assert (ruling.answer, ruling.by, ruling.decision, ruling.turn_goes_on) == ("refuse", "default", Decision("reject"), True)


def test_a_request_without_patterns_is_not_allowed_by_a_rule_for_some() -> None:
    """It asks for something unnamed: only a rule for everything covers that."""
    assert policy_of([("bash", "?*", True)]).decide(asked("bash")).answer == "refuse"
    assert policy_of([("bash", "*", True)]).decide(asked("bash")).answer == "allow_once"


def test_a_refusal_by_rule_counts_before_a_pattern_without_a_rule() -> None:
    """The message of the rule that says no reaches the agent, though another pattern has no rule at all."""
    rules = (PermissionRule(1, 3, "bash", "rm *", allows=False, message="No."),)
    ruling = Policy(rules).decide(asked("bash", "ls", "rm x"))
    assert (ruling.by, ruling.message, ruling.rule, ruling.turn_goes_on) == ("policy", "No.", rules[0], True)
    assert ruling.decision == Decision("reject", message="No.")
    assert ruling.steps == (("ls", None), ("rm x", rules[0]))


# ---- questions

ONE = AgentQuestion("Which database shall I use?", "Database", ("SQLite", "PostgreSQL"), multiple=False)
SEVERAL = AgentQuestion("Which checks?", "Checks", ("lint", "types", "tests"), multiple=True)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (QuestionRule(1, 0, ("SQLite",), header="database"), True),
        (QuestionRule(1, 0, ("SQLite",), contains="WHICH DATABASE"), True),
        (QuestionRule(1, 0, ("SQLite",), header="Database", contains="shall I"), True),
        (QuestionRule(1, 0, ("SQLite",), header="Data"), False),
        (QuestionRule(1, 0, ("SQLite",), header="Database", contains="language"), False),
        (QuestionRule(1, 0, ("sqlite",), header="Database"), False),
        (QuestionRule(1, 0, ("MySQL",), header="Database"), False),
        (QuestionRule(1, 0, ("SQLite", "PostgreSQL"), header="Database"), False),
    ],
)
def test_a_question_is_answered_by_labels_that_it_offers(rule: QuestionRule, fits: bool) -> None:
    """Header in full, a piece of the text, and labels exactly as offered, one unless several may be chosen."""
    ruling = Policy(questions=(rule,)).decide(asks(ONE))
    assert ruling == (Ruling("choose", "policy", chosen=(("SQLite",),), rule=rule) if fits else UNDECIDED)


def test_the_first_matching_rule_answers_even_where_its_label_does_not_fit() -> None:
    """A later rule is no second try: the order says what the author means."""
    rules = (QuestionRule(1, 0, ("MySQL",), header="Database"), QuestionRule(2, 0, ("SQLite",), contains="database"))
    assert Policy(questions=rules).decide(asks(ONE)) == UNDECIDED
    assert Policy(questions=rules[::-1]).decide(asks(ONE)).chosen == (("SQLite",),)


def test_all_questions_of_a_request_must_have_an_answer() -> None:
    """Half an answer is none."""
    database = QuestionRule(1, 0, ("SQLite",), header="Database")
    checks = QuestionRule(2, 0, ("lint", "tests"), header="Checks")
    assert Policy(questions=(database,)).decide(asks(ONE, SEVERAL)) == UNDECIDED
    both = Policy(questions=(database, checks)).decide(asks(ONE, SEVERAL))
    assert both.decision == Decision("answers", answers=(("SQLite",), ("lint", "tests")))
    assert Policy(questions=(database,)).decide(asks()) == UNDECIDED


def test_all_questions_can_be_refused_on_purpose() -> None:
    """``{answer: refuse}`` is a decision: the turn ends by it, and the record says whose it was."""
    ruling = Policy(refuses_questions=True).decide(asks(ONE))
    assert (ruling.by, ruling.decision) == ("policy", Decision("reject"))


@pytest.mark.parametrize(
    ("decision", "answer", "goes_on"),
    [
        (Decision("once"), "allow_once", True),
        (Decision("always"), "allow_always", True),
        (Decision("reject"), "refuse", False),
        (Decision("reject", message="why"), "refuse", True),
        (Decision("answers", answers=(("a",), ())), "choose", True),
    ],
)
def test_a_hook_s_decision_is_sent_as_it_is(decision: Decision, answer: str, goes_on: bool) -> None:
    """Its origin is told, and nothing of it is lost."""
    ruling = Ruling.from_decision(decision)
    assert (ruling.answer, ruling.by, ruling.decision, ruling.turn_goes_on) == (answer, "hook", decision, goes_on)


# ---- the file


def test_a_file_becomes_rules_with_their_places(tmp_path: Path) -> None:
    """Numbers from 1 in each list, and the line of each rule."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\npermissions:\n  - permission: bash\n    pattern: ls\n    answer: allow_once\n"
        "  - {permission: edit, pattern: '*', answer: refuse, message: no}\nquestions:\n  - {header: H, choose: [a, b]}\n",
        encoding="utf-8",
    )
    assert load_policy(path) == Policy(
        (
            PermissionRule(1, 3, "bash", "ls", allows=True),
            PermissionRule(2, 6, "edit", "*", allows=False, message="no"),
        ),
        (QuestionRule(1, 8, ("a", "b"), header="H"),),
        source=path,
    )
    path.write_text("version: 1\nquestions: {answer: refuse}\n", encoding="utf-8")
    assert load_policy(path) == Policy(refuses_questions=True, source=path)


RULE = "version: 1\npermissions:\n  - permission: bash\n    pattern: x\n    answer: "


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("version: 2\n", "line 1, column 1", "version: 2 is none of 1"),
        ("permissions: []\n", "line 1, column 1", "version: is missing"),
        ("version: 1\nallow: everything\n", "line 2, column 1", "unknown field 'allow'"),
        (RULE + "always\n", "line 5, column 5", "'always' is none of allow_once, refuse"),
        (RULE + "allow\n", "line 5, column 5", "'allow' is none of allow_once, refuse"),
        (RULE + "refuse\n    why: x\n", "line 6, column 5", "unknown field 'why'"),
        (RULE + "refuse\n    message: ' '\n", "line 6, column 5", "is blank"),
        (RULE + "allow_once\n    message: x\n", "line 6, column 5", "only a refusal has a message"),
        ("version: 1\npermissions:\n  - {permission: bash, answer: refuse}\n", "line 3, column 5", "pattern: is missing"),
        ("version: 1\npermissions:\n  - {permission: bash, pattern: '', answer: refuse}\n", "line 3, column 24", "permissions[0].pattern"),
        ("version: 1\npermissions: {bash: refuse}\n", "line 2, column 1", "is not a list"),
        ("version: 1\nquestions: refuse\n", "line 2, column 1", "is not a list or an object"),
        ("version: 1\nquestions: {answer: 'yes'}\n", "line 2, column 13", "is none of refuse"),
        ("version: 1\nquestions:\n  - {choose: [a]}\n", "line 3, column 5", "say by header or contains"),
        ("version: 1\nquestions:\n  - {header: a, choose: []}\n", "line 3, column 17", "questions[0].choose"),
        ("version: 1\nversion: 1\n", "line 2, column 1", "stands twice"),
        ("version: 1\npermissions: [\n", "line 3, column 1", "not YAML"),
        ("version: 1\npermissions:\n  - permission: *anything\n", "line 3, column 17", "an alias"),
        ("version: !!python/name:os.system 1\n", "line 1, column 10", "a tag"),
        ("- version: 1\n", "line 1, column 1", "it is not a map"),
        ("", "line 1, column 1", "it is not a map"),
    ],
)
def test_a_wrong_file_is_told_with_file_line_and_column(text: str, place: str, what: str, tmp_path: Path) -> None:
    """Unknown keys, values that are not offered, broken YAML: ``invalid_policy``, never a policy of what could be read."""
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        load_policy(path)
    error = caught.value
    assert (error.code, error.exit_code) == ("invalid_policy", 3)
    assert error.message.startswith(f"OPENCODE_DRIVER_POLICY {path}: {place}: ")
    assert what in error.message
    assert error.details["file"] == str(path)


def test_every_problem_is_listed(tmp_path: Path) -> None:
    """One round of fixing is enough."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\npermissions:\n  - {permission: bash, pattern: x, answer: allow}\n  - {pattern: y, answer: refuse}\n", encoding="utf-8"
    )
    with pytest.raises(InvalidInput, match=r"\(and 1 more\)") as caught:
        load_policy(path)
    assert [(item["field"], item["line"]) for item in caught.value.details["problems"]] == [  # type: ignore[attr-defined]
        ("permissions[0].answer", 3),
        ("permissions[1].permission", 4),
    ]


def test_a_file_that_is_not_there_is_no_empty_policy(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8: each is an error."""
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(b"version: 1\n# \xff\n")
    for path, what in ((tmp_path / "none.yaml", "there is no such file"), (tmp_path, "not a regular file"), (odd, "line 2")):
        with pytest.raises(InvalidInput, match=what):
            load_policy(path)


def test_the_schema_is_closed_and_described() -> None:
    """It is what an editor shows to whoever writes a policy."""
    assert broken_rules(json.loads(find_bundled("schemas/policy.schema.json").read_text(encoding="utf-8")), plain=False) == []
