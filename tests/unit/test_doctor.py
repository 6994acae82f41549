"""The doctor's judgements, each from facts alone, and what it reads of this machine."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from netclaw_opencode._core.policy import load_policy
from netclaw_opencode.doctor import ROWS, Check, Facts, probes, run_checks
from netclaw_opencode.doctor.checks import asking_rules
from netclaw_opencode.doctor.facts import DiskSpace, Integration
from netclaw_opencode.doctor.integrations import find_hosts
from netclaw_opencode.errors import InvalidInput, ServerProblem
from netclaw_opencode.opencode.models import Catalogue
from netclaw_opencode.opencode.process.binary import Binary
from netclaw_opencode.opencode.process.neighbours import Neighbour, data_dir, free_bytes, is_server
from netclaw_opencode.opencode.wire.reading import agent_rules
from netclaw_opencode.opencode.wire.types import Health, Model, ModelRef, PermissionRule, Provider, SessionStatus
from netclaw_opencode.settings import Settings
from tests.support.pace import stretched
from tests.support.records import server_record

RECORD = server_record(
    4711, url="http://127.0.0.1:4711", start_ticks=1, password="sesame-open-4711", binary="/bin/opencode", log_file="/log"
)
MODEL = Model("p", "m", "M", {}, 1000, 1000, reasoning=False, tool_call=True)
PROVIDER = Provider("p", "P", {"m": MODEL})
DEFAULTS = (
    PermissionRule("*", "*", "allow"),
    PermissionRule("doom_loop", "*", "ask"),
    PermissionRule("external_directory", "*", "ask"),
    PermissionRule("question", "*", "allow"),
    PermissionRule("read", "*.env", "ask"),
)
HERMES = Integration("Hermes Agent", Path("/home/me/.hermes"), (), "hermes plugins enable opencode-driver")


def healthy(tmp_path: Path) -> Facts:
    """A machine where nothing is wrong."""
    return Facts(
        settings=Settings(state_dir=tmp_path),
        program=Binary("/bin/opencode", "1.18.33"),
        directory="/home/me/project",
        record=RECORD,
        record_alive=True,
        state_seen=True,
        url=RECORD.url,
        ours=True,
        health=Health(True, "1.18.33"),
        asks_password=True,
        serves_sessions=True,
        catalogue=Catalogue((PROVIDER,), ModelRef("p", "m")),
        rules={"build": DEFAULTS},
        leftovers=(),
        statuses={},
        neighbours=(Neighbour(4711, 1.0, Path("/data"), "mark"),),
        server_mark="mark",
        disk_spaces=(DiskSpace("state", tmp_path, 10**11),),
        policy=load_policy(None),
        unusable=(),
        command="/bin/netclaw-opencode",
        integrations=(),
    )


def check(facts: Facts, name: str) -> Check:
    """One check."""
    (one,) = [item for item in run_checks(facts) if item.id == name]
    return one


def test_where_nothing_is_wrong_nothing_is_said(tmp_path: Path) -> None:
    """Every check is ok and none has a remedy."""
    assert {(item.id, item.status) for item in run_checks(healthy(tmp_path)) if item.status != "ok" or item.remedy} == set()


def test_what_was_not_seen_is_unknown_and_never_fine() -> None:
    """Facts without a single value: no check is ok but those of which the absence is the answer, and none stumbles."""
    told = {item.id: item.status for item in run_checks(Facts(Settings()))}
    assert set(told) == {row.id for row in ROWS} | {"hosts"}
    assert [name for name, status in told.items() if status == "ok"] == []
    assert told.pop("server") == "fail" and set(told.values()) == {"unknown"}


def retry(number: int) -> Mapping[str, SessionStatus]:
    """That many sessions that hang in retry."""
    return {f"ses_{place:020}": SessionStatus("retry") for place in range(number)}


ONE_WRONG: Mapping[str, tuple[Mapping[str, object], str, str, str]] = {
    # what is different, the check that tells, its status, a part of its remedy
    "program": ({"program": ServerProblem("binary_not_found", "no opencode"), "health": None}, "program", "fail", "install-opencode"),
    "program-not-needed": ({"program": ServerProblem("binary_not_found", "no opencode")}, "program", "warn", "install-opencode"),
    "version": ({"program": ServerProblem("unsupported_version", "2.0"), "health": None}, "program", "fail", "install-opencode"),
    "advisory": ({"program": Binary("/bin/opencode", "1.18.3")}, "advisories", "warn", "install-opencode"),
    "advisory-of-the-server": ({"health": Health(True, "1.18.2")}, "advisories", "warn", "install-opencode"),
    "no-server": ({"health": ServerProblem("server_unreachable", "nothing")}, "server", "fail", "check-availability"),
    "server-hangs": ({"health": None}, "server", "fail", "server recover"),
    "no-opencode": ({"health": ServerProblem("not_opencode", "a web page")}, "server", "fail", "OPENCODE_API_URL"),
    "wrong-password": ({"health": ServerProblem("auth_failed", "401")}, "password", "fail", "OPENCODE_SERVER_PASSWORD"),
    "no-password": ({"asks_password": False}, "password", "warn", "OPENCODE_SERVER_PASSWORD"),
    "broken-config": ({"serves_sessions": ServerProblem("config_error", "line 3")}, "sessions", "fail", "restart"),
    "no-provider": ({"catalogue": Catalogue((), None)}, "providers", "fail", "opencode auth login"),
    "shares": ({"catalogue": Catalogue((PROVIDER,), ModelRef("p", "m"), shares=True)}, "sharing", "warn", "disabled"),
    "no-default-model": ({"catalogue": Catalogue((PROVIDER,), None)}, "model", "warn", "list-providers"),
    "asks": ({"rules": {"build": (*DEFAULTS, PermissionRule("bash", "git *", "ask"))}}, "permissions", "warn", "--pattern 'git *'"),
    "two-in-retry": ({"statuses": retry(2)}, "stuck_sessions", "fail", "server recover"),
    "one-in-retry": ({"statuses": retry(1)}, "stuck_sessions", "warn", "abort-session --session-id ses_"),
    "left": ({"leftovers": (object(),)}, "left_sessions", "warn", "server cleanup"),
    "shared-data": (
        {"neighbours": tuple(Neighbour(pid, 1.0, Path("/data"), None) for pid in (1, 2))},
        *("data_directory", "warn", "XDG_DATA_HOME"),
    ),
    "stray": ({"neighbours": (Neighbour(99, 1.0, Path("/other"), "another"),)}, "stray_servers", "warn", "ps -o"),
    "little-room": ({"disk_spaces": (DiskSpace("state", Path("/s"), 10**9),)}, "disk", "warn", "make room"),
    "no-room": ({"disk_spaces": (DiskSpace("state", Path("/s"), 10**7),)}, "disk", "fail", "make room"),
    "stale-state": ({"record_alive": False}, "state_file", "warn", "stop-server"),
    "state-of-others": ({"state_problem": InvalidInput("invalid_input", "mode", next="chmod 700 x")}, "state_folder", "fail", "chmod 700"),
    "policy": ({"policy": InvalidInput("invalid_policy", "line 1")}, "settings", "fail", "details.problems"),
    "setting": ({"unusable": ("OPENCODE_DRIVER_AUDIT names /x",)}, "settings", "warn", "unset"),
    "directory": ({"directory": InvalidInput("invalid_input", "no folder")}, "directory", "fail", "Correct"),
    "directory-refused": ({"refused": InvalidInput("invalid_input", "the home", next="a project")}, "directory", "fail", "a project"),
    "empty-password": ({"settings": Settings(password_empty=True)}, "settings", "warn", "unset"),
    "command": ({"command": None}, "command", "warn", "PATH"),
    "host": ({"integrations": (HERMES,)}, "host_hermes_agent", "warn", "hermes plugins enable"),
    "mcp": ({"integrations": (replace(HERMES, routes=("MCP",), uses_mcp=True),)}, "mcp", "fail", "netclaw-opencode[mcp]"),
}


@pytest.mark.parametrize(("different", "name", "status", "remedy"), ONE_WRONG.values(), ids=ONE_WRONG)
def test_one_thing_that_is_wrong_is_told_with_what_helps(
    tmp_path: Path, different: Mapping[str, object], name: str, status: str, remedy: str
) -> None:
    """By its own check, with its status and a remedy; and no secret is in any of them."""
    facts = healthy(tmp_path)
    for key, value in different.items():
        setattr(facts, key, value)
    told = check(facts, name)
    assert (told.status, remedy in (told.remedy or "")) == (status, True), told
    assert RECORD.password not in str([item.to_wire() for item in run_checks(facts)])


def test_every_row_has_a_case() -> None:
    """No judgement but those that only tell goes untried."""
    assert {row.id for row in ROWS} - {name for _, name, _, _ in ONE_WRONG.values()} == {"questions"}


def test_a_model_that_is_set_and_unknown_is_told(tmp_path: Path) -> None:
    """With near names; a known one is fine, and one of a wrong form is told as well."""
    facts = healthy(tmp_path)
    for wanted, status in (("p/m", "ok"), ("p/n", "fail"), ("no-slash", "fail")):
        facts.settings = replace(facts.settings, model=wanted)
        assert check(facts, "model").status == status


def test_a_policy_that_answers_takes_the_warning_away(tmp_path: Path) -> None:
    """What is asked beyond the defaults is then answered; a question, too."""
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\npermissions:\n  - {permission: bash, pattern: 'git *', answer: allow_once}\n", encoding="utf-8")
    facts = healthy(tmp_path)
    facts.rules = {"build": (*DEFAULTS, PermissionRule("bash", "git *", "ask"))}
    facts.policy = load_policy(path)
    assert "policy file with 1 rules" in check(facts, "permissions").seen and check(facts, "permissions").status == "ok"
    assert "question_pending" in check(facts, "questions").seen


def test_only_rules_that_still_hold_are_said_to_ask() -> None:
    """A later rule for all, or for the same pattern, takes an earlier one's place; a narrower one does not."""
    ask = PermissionRule("bash", "*", "ask")
    assert list(asking_rules((ask, PermissionRule("bash", "git *", "allow")))) == [ask]
    assert list(asking_rules((ask, PermissionRule("bash", "*", "allow")))) == []
    assert list(asking_rules((ask, PermissionRule("*", "*", "deny")))) == []
    assert list(asking_rules((PermissionRule("bash", "*", "allow"), ask))) == [ask]


def test_words_of_a_configuration_stay_words_in_a_command(tmp_path: Path) -> None:
    """A project's opencode.json may come from anywhere, and its patterns stand in a command that somebody runs."""
    facts = healthy(tmp_path)
    facts.rules = {"build": (*DEFAULTS, PermissionRule("bash; touch a", "x'; touch b; '", "ask"))}
    words = shlex.split(check(facts, "permissions").remedy or "")
    assert words[3:] == ["--permission", "bash; touch a", "--pattern", "x'; touch b; '"]


def test_rules_of_an_unknown_form_are_no_rules() -> None:
    """An agent that tells its permissions otherwise is one of which nothing is known."""
    assert agent_rules({"name": "build", "permission": {"bash": "ask"}}) == ("build", ())
    assert agent_rules({"name": "build", "permission": [{"permission": "a", "pattern": "*"}, 7]}) == ("build", ())


def test_servers_are_known_by_their_command_line() -> None:
    """The program itself or an interpreter that runs it, with the word serve; an editor of that name is none."""
    assert is_server(["/usr/bin/opencode", "serve", "--port", "1"])
    assert is_server(["node", "/usr/lib/node_modules/opencode-ai/bin/opencode", "serve"])
    assert not is_server(["/usr/bin/opencode", "run", "now", "serve"])
    assert not is_server(["vim", "opencode.md"])
    assert not is_server(["grep", "opencode", "serve.log"])
    assert not is_server([])


def test_where_a_server_keeps_its_data() -> None:
    """As the XDG specification says; a relative path is ignored, and without a home nothing is known."""
    assert data_dir({"XDG_DATA_HOME": "/d", "HOME": "/h"}) == Path("/d/opencode")
    assert data_dir({"XDG_DATA_HOME": "d", "HOME": "/h"}) == Path("/h/.local/share/opencode")
    assert data_dir({}) is None


def test_room_is_told_for_a_folder_that_is_yet_to_be_made(tmp_path: Path) -> None:
    """By the nearest folder that is there."""
    assert free_bytes(tmp_path / "not" / "yet") == free_bytes(tmp_path)


def test_hosts_are_found_by_their_files_and_never_run(tmp_path: Path) -> None:
    """A folder without this skill, then with each route; a file that cannot be read says nothing."""
    home = tmp_path
    assert find_hosts({}, home) == ()
    (home / ".hermes").mkdir()
    (home / ".netclaw" / "skills").mkdir(parents=True)
    (home / ".netclaw" / "netclaw.json").write_text("{}", encoding="utf-8")
    (home / ".openclaw").mkdir()
    (home / ".openclaw" / "openclaw.json").write_bytes(b"\xff" * 10)
    assert [(item.name, item.routes) for item in find_hosts({}, home)] == [("netclaw-dev", ()), ("Hermes Agent", ()), ("OpenClaw", ())]
    (home / ".netclaw" / "skills" / "opencode-driver").mkdir()
    (home / ".netclaw" / "skills" / "opencode-driver" / "SKILL.md").write_text("by netclaw-opencode", encoding="utf-8")
    (home / ".hermes" / "config.yaml").write_text("plugins:\n  enabled: [opencode-driver]\n", encoding="utf-8")
    (home / ".openclaw" / "openclaw.json").write_text('{"mcp": {"servers": {"o": {"command": "netclaw-opencode"}}}}', encoding="utf-8")
    assert {item.name: item.routes for item in find_hosts({}, home)} == {
        "netclaw-dev": ("skill",),
        "Hermes Agent": ("plugin",),
        "OpenClaw": ("MCP",),
    }
    (home / ".netclaw" / "config.yaml").write_text("mcp_servers: {}\n", encoding="utf-8")
    assert "NetClaw Agent" in [item.name for item in find_hosts({}, home)]
    assert find_hosts({"HERMES_HOME": str(home / "elsewhere")}, home / "nobody") == ()


def test_a_foreign_skill_of_the_same_name_is_not_taken_for_this_one(tmp_path: Path) -> None:
    """It wraps another command."""
    place = tmp_path / ".hermes" / "skills" / "coding" / "opencode-driver"
    place.mkdir(parents=True)
    (place / "SKILL.md").write_text("name: opencode-driver, by another command", encoding="utf-8")
    assert [item.routes for item in find_hosts({}, tmp_path)] == [()]


def test_a_folder_of_skills_that_cannot_be_listed_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is told as one without this skill."""

    def refuses(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / ".hermes" / "skills").mkdir(parents=True)
    monkeypatch.setattr(Path, "iterdir", refuses)
    assert [(item.name, item.routes) for item in find_hosts({}, tmp_path)] == [("Hermes Agent", ())]


LOOK = """
import socket, sys, threading
from pathlib import Path
import anyio
from netclaw_opencode.doctor import collect_facts, probes, run_checks
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.settings import Settings

def hangs(*_):
    threading.Event().wait()

def refuses(*_):
    raise PermissionError(13, "Permission denied")

async def connect():
    raise ServerProblem("server_unreachable", "nobody")

probes._LOCAL_SECONDS = float(sys.argv[2])
probes.integrations.find_hosts = hangs
probes.neighbours.list_servers = refuses
if sys.argv[1] == "hangs":
    probes.check_directory = hangs
facts = anyio.run(lambda: collect_facts(Settings(state_dir=Path("state").absolute()), connect, directory=str(Path.cwd())))
print({check.id: check.status for check in run_checks(facts)})
"""


@pytest.mark.parametrize("directory", ["fine", "hangs"])
def test_what_hangs_or_refuses_to_be_read_is_unknown_and_holds_nothing_up(tmp_path: Path, directory: str) -> None:
    """The rest is told all the same, and the process ends: no thread of it waits for a file system that never answers."""
    environ = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path / "home"), "PATH": os.defpath}
    command = [sys.executable, "-c", LOOK, directory, str(stretched(3.0))]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, encoding="utf-8", timeout=240, check=True)
    told = ast.literal_eval(done.stdout)
    unknown = ("hosts", "command", "data_directory", "stray_servers")
    assert {name: told[name] for name in unknown} == dict.fromkeys(unknown, "unknown")
    assert told["directory"] == ("ok" if directory == "fine" else "unknown")
    assert (told["disk"], told["state_folder"], told["server"]) == ("ok", "ok", "fail")


def test_a_directory_in_which_no_task_may_work_is_told(tmp_path: Path) -> None:
    """The home directory itself, and what lies outside of the roots: the same refusal as a task would meet."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    roots = Settings.from_environment({"HOME": str(home), "OPENCODE_DRIVER_ROOTS": str(home)})
    for settings, directory, words in (
        (Settings.from_environment({"HOME": str(home)}), home, "whole home"),
        (roots, elsewhere, "outside the allowed roots"),
    ):
        facts = Facts(settings)
        probes.probe_directory(str(directory), facts)
        told = check(facts, "directory")
        assert (told.status, words in told.seen, facts.directory) == ("fail", True, str(directory))
