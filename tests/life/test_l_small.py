"""Rows L31, L32, L39 and L40: secrets as tokens, links that are swapped, plugins that must be there, control characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.opencode import directories as places
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import running_server
from tests.faults.bench import Bench
from tests.real.acting import data_of, error_of, settings_of

pytestmark = pytest.mark.real


def test_l31_a_short_password_is_hidden_as_a_whole_token_and_the_answer_says_so(tmp_path: Path) -> None:
    """L31: with the password ``test`` paths and words stay as they are; the token itself is hidden, and ``redacted`` counts it."""
    work = tmp_path / "work"
    work.mkdir()
    told = "tests/test_a.py and src/test stay, contest too; the word test goes."
    with OfflineModel() as model, running_server(tmp_path / "home", model, password="test") as server:
        model.when("write", ToolCall("write", {"filePath": "${directory}/tests/test_a.py", "content": "x\n"}), Text(told))
        settings = settings_of(server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(work))
        with Host(settings, entry_points=False) as host:
            envelope = host.call("run_task", prompt="write")
            assert data_of(envelope)["text"] == "tests/test_a.py and src/test stay, contest too; the word [redacted] goes."
            assert envelope["redacted"] == 1
            model.when("plain", Text("Nothing of it."))
            assert "redacted" not in host.call("run_task", prompt="plain")
            report = data_of(host.call("check_availability"))
            assert "4 characters" in json.dumps(report["problems"]), "a password that can be guessed is told"


def test_l32_a_link_that_is_swapped_between_check_and_use_changes_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L32: the directory is followed once; what was checked is what is used, whatever the link says by then."""
    good, bad, link = tmp_path / "roots" / "good", tmp_path / "elsewhere", tmp_path / "roots" / "link"
    good.mkdir(parents=True)
    bad.mkdir()
    link.symlink_to(good)
    rooted = Settings.from_environment({**settings.environ, "OPENCODE_DRIVER_ROOTS": str(tmp_path / "roots")})
    require = places.Places.require

    def swapped(self: places.Places, directory: str, **more: Any) -> None:  # noqa: ANN401 - whatever it takes
        link.unlink()
        link.symlink_to(bad)
        require(self, directory, **more)

    monkeypatch.setattr(places.Places, "require", swapped)
    assert read.workplace({"directory": str(link)}, rooted) == str(good)
    monkeypatch.undo()
    with pytest.raises(InvalidInput, match="outside the allowed roots"):
        read.workplace({"directory": str(link)}, rooted)


def test_l39_a_host_without_a_plugin_that_it_requires_fails_closed(bench: Bench) -> None:
    """L39: a policy that cannot be imported, or is not there, refuses whatever runs, answers or starts; a look is still allowed."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("run_task", {"prompt": "x"}),
        ("send_message", {"session_id": "ses_00000000000000000000000000", "prompt": "x"}),
        (
            "reply_permission",
            {"session_id": "ses_00000000000000000000000000", "permission_id": "per_00000000000000000000000000", "answer": "reject"},
        ),
        ("start_server", {}),
        ("check_availability", {}),
    ]
    named = Settings.from_environment({**bench.settings.environ, "OPENCODE_DRIVER_REQUIRED_PLUGINS": "guard"})
    for host in (Host(bench.settings, entry_points=False, required=("guard",)), Host(named, entry_points=False)):
        with host:
            for action, arguments in calls:
                error = error_of(host.call(action, **arguments))
                assert (error["code"], error["details"]["plugins"]) == ("plugin_missing", ["guard"]), action
            assert host.call("list_sessions")["ok"] is True
    with Host(named, entry_points=False, plugins={"guard": object()}) as host:
        assert data_of(host.call("run_task", prompt="x"))["state"] == "completed"


def test_l39_a_plugin_that_cannot_be_imported_is_missing(bench: Bench, tmp_path: Path) -> None:
    """L39: the directory is there and its module raises: the host tells why, and nothing is run."""
    folder = tmp_path / "guard"
    folder.mkdir()
    manifest = {"name": "guard", "version": "1.0.0", "description": "A guard.", "license": "MIT", "plugin": "guard_of_l39"}
    (folder / "skill.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "guard_of_l39.py").write_text("raise RuntimeError('broken')\n", encoding="utf-8")
    with Host(bench.settings, entry_points=False, directories=[folder], required=("guard",)) as host:
        assert host.problems, "the host says what is wrong with it"
        assert error_of(host.call("run_task", prompt="x"))["code"] == "plugin_missing"


@pytest.mark.parametrize(("field", "value"), [("prompt", "one\ntwo\x00three"), ("system", "one\ntwo\x1bthree")])
def test_l40_a_control_character_is_refused_with_its_place(bench: Bench, field: str, value: str) -> None:
    """L40: a NUL or another control character is refused before anything is sent; tab and line ends are text."""
    error = error_of(bench.host.call("run_task", **{"prompt": "x", field: value}))
    assert error["code"] == "invalid_input"
    place = {name: error["details"][name] for name in ("field", "line", "column", "offset")}
    assert place == {"field": field, "line": 2, "column": 4, "offset": 7}
    assert not bench.raw.model.calls
    assert data_of(bench.host.call("run_task", prompt="one\r\n\ttwo"))["state"] == "completed"
