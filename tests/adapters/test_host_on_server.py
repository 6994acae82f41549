"""Host, plugin and Python form on the real server: a task runs, and a policy plugin decides what the agent may do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from netclaw_opencode import AsyncOpenCode, OpenCode
from netclaw_opencode.errors import Waiting
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.adapters.host_plugins import error_of, hooks
from tests.real.acting import data_of

pytestmark = pytest.mark.real

POLICY = Path(__file__).parents[2] / "examples" / "permission_policy"


@pytest.fixture
def settings(opencode_server: OpenCodeServer, tmp_path: Path, leak_check: LeakCheck) -> Settings:
    """The way to the test server; nothing may be left on it."""
    return Settings.from_environment(
        {
            "OPENCODE_API_URL": opencode_server.base_url,
            "OPENCODE_SERVER_PASSWORD": opencode_server.password,
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        }
    )


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """The example's modules are forgotten after each test."""
    yield
    for name in [name for name in sys.modules if name.startswith("opencode_permission_policy")]:
        del sys.modules[name]


@pytest.fixture
def outside(tmp_path: Path, scripted: OfflineModel) -> Path:
    """A folder that is not the agent's, with a file that the model wants to read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "notes.txt").write_text("the secret of bread is time\n", encoding="utf-8")
    scripted.when("read the notes", ToolCall("read", {"filePath": str(folder / "notes.txt")}), Text("I have read."))
    return folder


def test_a_task_runs_through_every_form(settings: Settings, scripted: OfflineModel, git_workdir: Path) -> None:
    """Host and Python form, blocking and async, give the same answer to the same task; progress reaches plugins."""
    scripted.when("write it", ToolCall("write", {"filePath": "${directory}/new.txt", "content": "new\n"}), Text("Written."))
    seen: list[ProgressEvent] = []
    arguments: dict[str, object] = {"prompt": "write it", "directory": str(git_workdir)}

    async def main() -> dict[str, object]:
        async with AsyncOpenCode(settings) as opencode:
            return await opencode.call("run_task", **arguments)

    with Host(settings, entry_points=False, plugins={"watcher": hooks(on_event=lambda event: seen.append(event))}) as host:
        envelope = host.call("run_task", **arguments)
    assert envelope["ok"] is True, envelope
    with OpenCode(settings) as opencode:
        results = [envelope["data"], opencode.call("run_task", **arguments), anyio.run(main)]
    assert [result["text"] for result in results if isinstance(result, dict)] == ["Written."] * 3
    assert (git_workdir / "new.txt").read_text(encoding="utf-8") == "new\n"
    assert {"session_created", "tool", "session_deleted"} <= {event.kind for event in seen}


def test_the_policy_lets_the_agent_into_a_named_folder(
    settings: Settings, outside: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the folder named, the agent's request is granted once and the turn goes on to its end."""
    monkeypatch.setenv("OPENCODE_POLICY_FOLDERS", str(outside))
    with Host(settings, entry_points=False, directories=[POLICY]) as host:
        envelope = host.call("run_task", prompt="read the notes", directory=str(workdir))
    data = envelope.get("data")
    assert isinstance(data, dict), envelope
    assert data["text"] == "I have read."
    assert [(tool["tool"], tool["status"]) for tool in data["tools"]] == [("read", "completed")]


def test_the_policy_keeps_the_agent_out_elsewhere(
    settings: Settings, outside: Path, workdir: Path, scripted: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the folder the request is refused, the agent is told why, and it never sees the file."""
    monkeypatch.setenv("OPENCODE_POLICY_FOLDERS", str(workdir))
    with Host(settings, entry_points=False, directories=[POLICY]) as host:
        envelope = host.call("run_task", prompt="read the notes", directory=str(workdir))
    calls = str([call.body for call in scripted.calls_with("read the notes")])
    assert "the secret of bread" not in calls
    assert "Not under an allowed folder" in calls
    assert envelope["ok"] is True, envelope


def test_without_a_policy_the_call_says_what_was_asked(settings: Settings, outside: Path, workdir: Path) -> None:
    """Nobody decides: the request is refused and listed; or the turn is stopped, and the error names the permission."""
    with Host(settings, entry_points=False) as host:
        refused = data_of(host.call("run_task", prompt="read the notes", directory=str(workdir)))["refused"]
        error = error_of(host.call("run_task", prompt="read the notes", directory=str(workdir), on_request="stop"))
    assert [item["permission"] for item in refused] == ["external_directory"]
    assert error["code"] == "permission_required" and "external_directory" in str(error["message"])
    with OpenCode(settings) as opencode, pytest.raises(Waiting, match="external_directory"):
        opencode.call("run_task", prompt="read the notes", directory=str(workdir), on_request="stop")
