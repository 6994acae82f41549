"""``check_policy``, the dry run: what a policy would answer, without a server, through ``Registry.invoke``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import views
from netclaw_opencode.facts import Decision
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from tests.adapters.host_plugins import hooks

POLICY = """\
version: 1
permissions:
  - {permission: bash, pattern: "git push *", answer: refuse, message: "A person does that."}
  - {permission: bash, pattern: "git *", answer: allow_once}
  - {permission: edit, pattern: "*", answer: refuse}
questions:
  - {header: Checks, choose: [lint, tests]}
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host with the policy above; at its server's address nothing answers, and a plugin would allow everything."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY, encoding="utf-8")
    environ = {"HOME": str(tmp_path), "OPENCODE_API_URL": "http://127.0.0.1:1", "OPENCODE_DRIVER_POLICY": str(path)}
    plugin = hooks(decide_permission=lambda: Decision("always"))
    with Host(Settings.from_environment(environ), entry_points=False, plugins={"generous": plugin}) as found:
        yield found


def said(host: Host, **arguments: object) -> dict[str, object]:
    """The data of a dry run; the file's path, which every one has, is left out."""
    envelope = host.call("check_policy", **arguments)
    data = envelope.get("data")
    assert isinstance(data, dict), envelope
    assert str(data.pop("policy_file")).endswith("policy.yaml")
    return data


def test_the_deciding_rule_is_named_with_its_line(host: Host) -> None:
    """Answer, rule, message, and whether the agent would work on; the plugin is not asked."""
    push = {"index": 1, "line": 3, "permission": "bash", "pattern": "git push *"}
    assert said(host, permission="bash", pattern="git push") == {
        "answer": "refuse",
        "by": "policy",
        "rule": push,
        "message": "A person does that.",
        "turn_goes_on": True,
        "by_pattern": [{"pattern": "git push", "answer": "refuse", "index": 1}],
    }
    allowed = said(host, permission="bash", pattern="git log")
    assert (allowed["answer"], allowed["turn_goes_on"]) == ("allow_once", True)
    silent = said(host, permission="edit", pattern="x")
    assert (silent["answer"], silent["by"], silent["turn_goes_on"], "message" in silent) == ("refuse", "policy", True, False)


def test_each_pattern_s_fate_is_shown(host: Host) -> None:
    """One without a rule is enough for a refusal by default."""
    data = said(host, permission="bash", patterns=["git log", "rm -r x"])
    assert (data["answer"], data["by"], "rule" in data) == ("refuse", "default", False)
    assert data["by_pattern"] == [{"pattern": "git log", "answer": "allow_once", "index": 2}, {"pattern": "rm -r x", "answer": "refuse"}]


def test_a_question_shows_the_labels(host: Host) -> None:
    """Offered or not, one or several, makes the difference."""
    question = {"question": "Which?", "header": "Checks", "options": ["lint", "types", "tests"]}
    assert said(host, **question, multiple=True) == {
        "answer": "choose",
        "by": "policy",
        "chosen": ["lint", "tests"],
        "turn_goes_on": True,
        "rule": {"index": 1, "line": 7, "header": "Checks"},
    }
    assert said(host, **question) == {"answer": "refuse", "by": "default", "turn_goes_on": True}


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({}, "give either permission or question"),
        ({"permission": "bash", "question": "x"}, "give either permission or question"),
        ({"permission": "bash", "pattern": "x", "patterns": ["y"]}, "give either pattern or patterns"),
        ({"permission": "bash", "options": ["a"]}, "options does not belong to a permission"),
        ({"question": "x", "pattern": "y"}, "pattern does not belong to a question"),
        ({"permission": ""}, "permission"),
        ({"permission": "bash", "patterns": []}, "patterns"),
    ],
)
def test_what_is_no_request_is_refused(host: Host, arguments: dict[str, object], what: str) -> None:
    """Half of one and half of another would get an answer that means nothing."""
    error = host.call("check_policy", **arguments)["error"]
    assert isinstance(error, dict)
    assert error["code"] == "invalid_input" and what in str(error["message"])


def test_without_a_policy_the_default_is_told(tmp_path: Path) -> None:
    """No file, no rule: refused, and the agent goes on without it."""
    with Host(Settings.from_environment({"HOME": str(tmp_path)}), entry_points=False) as host:
        data = host.call("check_policy", permission="bash", pattern="ls")["data"]
    assert data == {"answer": "refuse", "by": "default", "by_pattern": [{"pattern": "ls", "answer": "refuse"}], "turn_goes_on": True}


def test_an_invalid_policy_is_the_answer(tmp_path: Path) -> None:
    """The dry run is where one looks for mistakes: it lists them all."""
    (tmp_path / "policy.yaml").write_text("version: 1\npermissions:\n  - {permission: bash, answer: yes}\n", encoding="utf-8")
    settings = Settings.from_environment({"HOME": str(tmp_path), "OPENCODE_DRIVER_POLICY": str(tmp_path / "policy.yaml")})
    with Host(settings, entry_points=False) as host:
        error = host.call("check_policy", permission="bash")["error"]
    assert isinstance(error, dict)
    assert (error["code"], len(error["details"]["problems"])) == ("invalid_policy", 2)


def test_a_person_can_read_it(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """Answer, rule with its line, every pattern, what the agent is told, and what happens then."""
    views.print_envelope(host.call("check_policy", permission="bash", patterns=["git push", "ls"]))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:6] == [
        "✗ refuse (by the policy file)",
        "rule 1, in line 3: permission bash, pattern git push *",
        "pattern 1 git push: refuse (rule 1)",
        "pattern 2 ls: refuse (no rule)",
        "told A person does that.",
        "then the agent works on",
    ]
    views.print_envelope(host.call("check_policy", question="Which?", header="Checks", options=["lint", "tests"], multiple=True))
    assert capsys.readouterr().out.startswith("✓ lint, tests (by the policy file)")
