"""The examples work: the smallest host as a script, the permission policy from its directory and as an installed wheel."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode.facts import AgentQuestion, Decision, PendingRequest
from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.manifest import check_manifest
from netclaw_opencode.settings import Settings

ROOT = Path(__file__).parents[2]
POLICY = ROOT / "examples" / "permission_policy"
SMALLEST = ROOT / "examples" / "smallest_host" / "host.py"
NAME = "opencode-permission-policy"


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """The example's modules are forgotten after each test."""
    yield
    for name in [name for name in sys.modules if name.startswith("opencode_permission_policy")]:
        del sys.modules[name]


@pytest.fixture
def host() -> Host:
    """A host with the policy, loaded from its directory."""
    loaded = Host(Settings(), exclude=(OWN_PLUGIN,), entry_points=False, directories=[POLICY])
    assert loaded.problems == ()
    return loaded


def asks(*patterns: str, permission: str = "external_directory") -> PendingRequest:
    """A permission as OpenCode asks for it."""
    return PendingRequest("permission", "per_1", "ses_1", "/project", permission=permission, patterns=patterns)


def test_the_manifest_of_the_policy_is_right() -> None:
    """The example passes the same check as our own skill."""
    assert check_manifest(POLICY / "skill.yaml") == []


def test_the_policy_loads_from_its_directory(host: Host) -> None:
    """Skill, action and hook are there without an installation."""
    assert (host.plugins, list(host.skills), list(host.registry.actions)) == ((NAME,), [NAME], ["explain_policy"])


def test_the_policy_explains_itself(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action is dispatched like any other and tells the folders of the environment."""
    monkeypatch.setenv("OPENCODE_POLICY_FOLDERS", f"{tmp_path}{os.pathsep}relative/one")
    with host:
        envelope = host.call("explain_policy")
        assert host.call("explain_policy", surplus=1)["ok"] is False
    data = envelope["data"]
    assert isinstance(data, dict)
    assert data["allowed_folders"] == [str(tmp_path.resolve())]


def decisions(host: Host, *requests: PendingRequest) -> list[Decision | None]:
    """What a running action would be told."""
    from netclaw_opencode.actions.context import ActionCall, ActionContext

    seen: list[Decision | None] = []

    class Asker:
        from netclaw_opencode.hookspecs import hookimpl

        @hookimpl
        def netclaw_run_action(self, call: ActionCall) -> object:
            return self.run(call.context)

        async def run(self, context: ActionContext) -> dict[str, object]:
            for request in requests:
                decision = context.hooks.decide(request)
                assert decision is None or isinstance(decision, Decision)
                seen.append(decision)
            return {"policy": "", "allowed_folders": [], "variable": ""}

    with Host(Settings(), exclude=(OWN_PLUGIN,), entry_points=False, directories=[POLICY], plugins={"asker": Asker()}) as asking:
        assert asking.call("explain_policy")["ok"] is True
    return seen


def test_the_policy_decides_through_the_hook(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a named folder once, elsewhere refused with a reason; a question is none of its business."""
    monkeypatch.setenv("OPENCODE_POLICY_FOLDERS", str(tmp_path))
    question = PendingRequest("question", "que_1", "ses_1", "/w", questions=(AgentQuestion("?", "?", ("a",), False),))
    allowed, refused, asked = decisions(host, asks(f"{tmp_path}/sub/*"), asks("/etc/*"), question)
    assert allowed == Decision("once")
    assert refused is not None and refused.answer == "reject" and "/etc/*" in str(refused.message)
    assert asked is None


@pytest.mark.parametrize(
    "patterns",
    [
        (),
        ("{folder}-twin/*",),
        ("{folder}/../elsewhere/*",),
        ("{folder}/link/*",),
        ("{folder}/*", "/etc/*"),
        ("{folder}/**/x",),
        ("relative/*",),
        ("~/x/*",),
        ("/*",),
    ],
)
def test_nothing_outside_a_named_folder_passes(host: Host, tmp_path: Path, patterns: tuple[str, ...]) -> None:
    """Neither by a like name, nor by '..', a link, a second path, a wildcard, nor a path that is not absolute."""
    from opencode_permission_policy.policy import decide

    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "link").symlink_to("/etc")
    assert decide(asks(*(pattern.format(folder=folder) for pattern in patterns)), [folder.resolve()]).answer == "reject"
    assert decide(asks(f"{folder}/*", f"{folder}/deep/file.txt"), [folder.resolve()]).answer == "once"


def test_other_permissions_are_refused(host: Host, tmp_path: Path) -> None:
    """The policy allows one kind of permission, whatever the path."""
    from opencode_permission_policy.policy import decide

    answer = decide(asks(f"{tmp_path}/*", permission="bash"), [tmp_path])
    assert answer.answer == "reject" and "'bash'" in str(answer.message)


def test_the_smallest_host_runs_an_action(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The script prints one envelope and its exit code tells the outcome."""
    monkeypatch.setattr(sys, "argv", [str(SMALLEST), "no_such_action", '{"x": 1}'])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SMALLEST), run_name="__main__")
    assert left.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_action"


WITH_INSTALLED = """
import json, sys
from netclaw_opencode.host import Host
with Host(only=("opencode-permission-policy",)) as host:
    print(json.dumps([list(host.plugins), [str(p) for p in host.problems], host.call("explain_policy")["ok"]]))
    print(sys.modules["opencode_permission_policy"].__file__)
"""


def test_the_policy_works_as_an_installed_wheel(tmp_path: Path) -> None:
    """Built, installed apart and found by its entry point alone, from another working directory."""
    source = shutil.copytree(POLICY, tmp_path / "source", ignore=shutil.ignore_patterns("__pycache__"))
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), str(source)]
    subprocess.run(install, check=True, capture_output=True, text=True, timeout=240)
    package = Path(sys.modules["netclaw_opencode"].__file__ or "").parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(site), str(package)))}
    done = subprocess.run(
        [sys.executable, "-c", WITH_INSTALLED], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=240
    )
    answer, place = done.stdout.splitlines()
    assert json.loads(answer) == [[NAME], [], True]
    assert Path(place).is_relative_to(site)
