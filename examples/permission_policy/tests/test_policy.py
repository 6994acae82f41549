"""The policy on a real OpenCode server, with a scripted model that reads a file outside of its folder."""

from pathlib import Path

import pytest
from opencode_permission_policy import plugin
from opencode_permission_policy.policy import FOLDERS_VARIABLE

from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.probe import plugin_problems


def test_the_plugin_keeps_the_contract() -> None:
    """The reference host has nothing against it."""
    assert plugin_problems(plugin) == []


@pytest.mark.parametrize(("allowed", "answer"), [("notes", "allow_once"), ("elsewhere", "refuse")])
def test_the_policy_decides_on_the_server(
    allowed: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opencode_settings: Settings,
    offline_model: OfflineModel,
    leak_check: LeakCheck,
) -> None:
    """A file in an allowed folder is read, one in another is refused; either way nothing is left on the server."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "today.txt").write_text("buy milk\n", encoding="utf-8")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / allowed))
    offline_model.when("read my notes", ToolCall("read", {"filePath": str(notes / "today.txt")}), Text("milk"))
    with Host(opencode_settings, entry_points=False, plugins={"policy": plugin}) as host:
        envelope = host.call("run_task", prompt="read my notes")
    data = envelope.get("data")
    assert isinstance(data, dict), envelope
    assert [item["answer"] for item in data["answered"]] == [answer]
