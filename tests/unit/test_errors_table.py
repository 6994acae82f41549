"""The table of error codes: stable words, one exit code each, a remedy that is real; and the exceptions that carry them."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from netclaw_opencode import errors
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.errors import CODES, DriverError, error_of
from netclaw_opencode.manifest import load_manifest

KINDS = {
    kind.exit_code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DriverError) and kind is not DriverError
}
OUR_COMMAND = re.compile(r"netclaw-opencode (?!actions\b)(\w+) ([a-z-]+)")


def test_there_is_one_exception_for_each_exit_code() -> None:
    """The tree of exceptions and the exit codes are the same division; 0 and 2 are no errors of an action."""
    assert KINDS.keys() == {1, 3, 4, 5, 6, 7, 130}
    assert {row.exit_code for row in CODES.values()} == KINDS.keys()


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """Whoever reads the top of the module sees each exception with its exit code."""
    drawn = dict(re.findall(r"(\w+)\s+exit (\d+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(code) for code, kind in KINDS.items()}


def test_a_row_is_complete_and_reads_well() -> None:
    """A snake_case word, a sentence, a remedy; each fits in a line of a terminal or two."""
    for row in CODES.values():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.code)
        assert row.summary.endswith(".") and len(row.summary) <= 120
        assert row.remedy and "\n" not in row.remedy and len(row.remedy) <= 120
        assert CODES[row.code] is row


def test_a_command_in_a_remedy_exists() -> None:
    """A command of ours that is recommended names a tier and an action of the manifest."""
    actions = load_manifest().actions
    for row in CODES.values():
        for tier, command in OUR_COMMAND.findall(row.remedy):
            if command not in app.BESIDE_ACTIONS.get(tier, ()):
                assert actions[command.replace("-", "_")].tier == tier


def test_an_action_in_a_remedy_exists() -> None:
    """A snake_case word in a remedy is an action, or a field of an input."""
    for row in CODES.values():
        actions = load_manifest().actions
        fields = {name for entry in actions.values() for name in entry.input_schema["properties"]}  # type: ignore[attr-defined]
        for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", row.remedy):
            assert word in actions or word in fields, word


def test_each_code_can_be_raised_by_its_exception_alone() -> None:
    """The right class takes it; every other one refuses, so that exit code and code never disagree."""
    for row in CODES.values():
        for exit_code, kind in KINDS.items():
            if exit_code == row.exit_code:
                assert kind(row.code, "text").code == row.code
            else:
                with pytest.raises(ValueError, match=f"{row.code} is not a code of {kind.__name__}"):
                    kind(row.code, "text")
        assert isinstance(error_of(row.code, "text"), KINDS[row.exit_code])


def test_an_unknown_code_cannot_be_raised() -> None:
    """The list is closed."""
    with pytest.raises(KeyError):
        errors.ActionFailed("no_such_code", "text")


def test_the_wire_form_always_says_what_to_do() -> None:
    """``next`` is the caller's own or the table's remedy; rule and details stand there only where they are known."""
    for row in CODES.values():
        bare = error_of(row.code, "It failed.").to_wire()
        assert bare == {"code": row.code, "message": "It failed.", "retryable": row.retryable, "next": row.remedy}
        full = error_of(row.code, "It failed.", rule="deadline", next="do this", details={"a": 1}).to_wire()
        assert full == bare | {"rule": "deadline", "next": "do this", "details": {"a": 1}}
        assert json.loads(json.dumps(full)) == full


def test_what_was_refused_or_is_wrong_is_not_worth_a_retry() -> None:
    """Only a state that may pass by itself is retryable among the refusals; input, credentials and defects never are."""
    retryable = {row.code for row in CODES.values() if row.retryable}
    assert not retryable & {row.code for row in CODES.values() if row.exit_code in (3, 7, 130)}
    assert not retryable & {"auth_failed", "provider_auth", "provider_unavailable", "internal_error", "vetoed", "not_ours", "turn_timeout"}
    assert {"session_busy", "server_unreachable", "connection_lost"} <= retryable


def test_details_are_a_copy() -> None:
    """What the raiser changes later does not change the error."""
    details: dict[str, object] = {"a": 1}
    error = errors.ActionFailed("turn_aborted", "It failed.", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}
    assert str(error) == "It failed."


def test_a_shell_command_in_a_remedy_can_be_split() -> None:
    """A remedy that begins as a command is one that a shell can read."""
    for row in CODES.values():
        if row.remedy.startswith(("netclaw-opencode ", "npm ", "opencode ")):
            assert len(shlex.split(row.remedy.partition(";")[0].partition(",")[0])) >= 2
