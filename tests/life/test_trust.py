"""Trust (F61): nothing that a folder brings runs on the real server before its user has said so, and then it does.

Every piece of code writes a marker file, so what ran is read from the disk and not from what the driver says.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from netclaw_opencode.adapters.cli import app
from netclaw_opencode.host import Host
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.faults.own import environment
from tests.life.projects import Project
from tests.real.acting import Json, data_of, error_of, settings_of

pytestmark = pytest.mark.real


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder that the user has not trusted."""
    return Project((tmp_path / "work").resolve(), tmp_path / "marks")


@pytest.fixture
def settings(opencode_server: OpenCodeServer, project: Project, tmp_path: Path) -> Settings:
    """The way to the test server."""
    return settings_of(opencode_server, tmp_path, OPENCODE_DRIVER_DIRECTORY=str(project.folder), HOME=str(tmp_path / "home"))


@pytest.fixture
def host(settings: Settings, scripted: OfflineModel, leak_check: LeakCheck) -> Iterator[Host]:
    """A host on the test server; what it leaves there fails the test."""
    with Host(settings, entry_points=False) as host:
        yield host


def command(settings: Settings, *words: str, exit_code: int = 0) -> Json:
    """The envelope of ``netclaw-opencode server trust`` in the environment of these settings."""
    done = CliRunner().invoke(app._root(), ["server", "trust", *words], env=dict(settings.environ), standalone_mode=False)
    found: Json = json.loads(done.stdout)
    assert (done.return_value, found["ok"]) == (exit_code, exit_code == 0), found
    return found


def plugin(project: Project) -> None:
    """A plugin in its place."""
    project.write(".opencode/plugin/a.ts", project.script("plugin"))


def plugins(project: Project) -> None:
    """A plugin in its other place."""
    project.write(".opencode/plugins/a.js", project.script("plugins"))


def tool(project: Project) -> None:
    """A tool in its place."""
    project.write(".opencode/tool/a.ts", project.script("tool", tool=True))


def named_plugin(project: Project) -> None:
    """A plugin that the configuration names."""
    project.write("code/p.js", project.script("named_plugin"))
    project.config(plugin=["./code/p.js"])


def mcp(project: Project) -> None:
    """A local MCP server."""
    project.config(mcp={"build": {"type": "local", "command": project.shell("mcp")}})


def newer_mcp(project: Project) -> None:
    """The same in the newer form, with comments and trailing commas."""
    project.write(
        ".opencode/opencode.jsonc",
        '// a comment\n{"mcp": {"servers": {"b": ' + json.dumps({"type": "local", "command": project.shell("newer_mcp")}) + ",},},}",
    )


def formatter(project: Project) -> None:
    """A formatter."""
    project.config(formatter={"f": {"command": project.shell("formatter"), "extensions": [".txt"]}})


def lsp(project: Project) -> None:
    """A language server."""
    project.config(lsp={"l": {"command": project.shell("lsp"), "extensions": [".txt"]}})


Kind = Callable[[Project], None]
KINDS: dict[str, tuple[Kind, ...]] = {
    "files of code": (plugin, plugins, tool),
    "configuration": (named_plugin, mcp, newer_mcp),
    "on edited files": (formatter,),
}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_code_of_a_folder_runs_only_after_its_user_has_trusted_it(
    host: Host, settings: Settings, project: Project, scripted: OfflineModel, kinds: tuple[Kind, ...]
) -> None:
    """F61: refused before the folder is opened, by file and by what it runs; after ``server trust`` the task completes and it has run."""
    for kind in kinds:
        kind(project)
    scripted.when("write it", ToolCall("write", {"filePath": "${directory}/a.txt", "content": "a\n"}), Text("Written."))
    error = error_of(host.call("run_task", prompt="write it"))
    assert (error["code"], project.ran) == ("untrusted_project", [])
    files = error["details"]["files"]
    assert all(Path(item["file"]).is_relative_to(project.folder) for item in files)
    assert sum(len(item["runs"]) for item in files) == len(kinds)
    assert f"server trust {project.folder}" in error["next"]
    told = command(settings, str(project.folder), "--yes")["data"]
    assert (told["trusted"], told["files"]) == (True, files)
    assert data_of(host.call("run_task", prompt="write it"))["text"] == "Written."
    wait_until(lambda: project.ran == sorted(kind.__name__ for kind in kinds), SOON, what="the markers of the code")


def test_a_language_server_of_a_folder_runs_only_after_trust(
    host: Host, settings: Settings, project: Project, scripted: OfflineModel
) -> None:
    """F61: likewise; OpenCode waits three quarters of a minute for one that does not speak, so the task is not waited for."""
    lsp(project)
    scripted.when("write it", ToolCall("write", {"filePath": "${directory}/a.txt", "content": "a\n"}), Text("Written."))
    assert error_of(host.call("create_session"))["code"] == "untrusted_project"
    command(settings, str(project.folder), "--yes")
    session_id = data_of(host.call("create_session"))["session"]["session_id"]
    data_of(host.call("send_message_async", session_id=session_id, prompt="write it"))
    wait_until(lambda: project.ran == ["lsp"], SOON, what="the marker of the language server")
    assert data_of(host.call("delete_session", session_id=session_id))["confirmed"] is True


def test_every_action_that_opens_a_folder_asks(host: Host, project: Project, tmp_path: Path) -> None:
    """F61: no action that names an untrusted folder gets as far as the server; none of them runs its code."""
    mcp(project)
    plugin(project)
    there = {"directory": str(project.folder)}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_session", there),
        ("run_task", {"prompt": "x", **there}),
        ("run_plan_and_implement", {"prompt": "x", **there}),
        ("list_sessions", there),
        ("get_session_status", there),
        ("list_providers", there),
        ("check_availability", there),
    ]
    for action, arguments in calls:
        assert error_of(host.call(action, **arguments))["code"] == "untrusted_project", action
    doctor = host.call("doctor", **there)
    assert "server trust" in data_of(doctor)["next"] and project.ran == []
    assert (tmp_path / "state" / "trusted.json").exists() is False


def test_a_session_of_a_folder_that_has_got_code_since_is_not_opened(
    host: Host, settings: Settings, project: Project, leak_check: LeakCheck
) -> None:
    """A request that names a session opens the session's folder, whatever directory stands beside it (measured)."""
    session_id = str(data_of(host.call("create_session"))["session"]["session_id"])
    plugin(project)
    refused = Host(settings, entry_points=False)
    with refused:
        for action in ("get_session_status", "get_session_result", "wait_for_session", "send_message", "delete_session"):
            more = {"prompt": "x"} if action == "send_message" else {}
            assert error_of(refused.call(action, session_id=session_id, **more))["code"] == "untrusted_project", action
    # New work is refused by the host that has the folder open already, too; what is there can still be looked at and removed.
    assert error_of(host.call("send_message", session_id=session_id, prompt="x"))["code"] == "untrusted_project"
    assert data_of(host.call("get_session_status", session_id=session_id))["count"] == 1
    assert data_of(host.call("delete_session", session_id=session_id))["deleted"] is True
    assert project.ran == []


def test_a_turn_whose_agent_writes_such_a_file_goes_on_to_its_end(host: Host, project: Project, scripted: OfflineModel) -> None:
    """Trust is asked for before new work: a turn that writes an ``opencode.json`` is followed to its end; the next task is refused."""
    content = json.dumps({"mcp": {"late": {"type": "local", "command": project.shell("late")}}})
    scripted.when("write config", ToolCall("write", {"filePath": "${directory}/opencode.json", "content": content}), Text("Written."))
    assert data_of(host.call("run_task", prompt="write config"))["text"] == "Written."
    assert error_of(host.call("run_task", prompt="again"))["code"] == "untrusted_project"
    assert project.ran == []


def test_a_changed_file_asks_again_and_a_comment_does_not(host: Host, settings: Settings, project: Project) -> None:
    """As direnv does: what counts is the content. What OpenCode itself adds (``$schema``, packages) is no change."""
    project.write("opencode.json", json.dumps({"mcp": {"a": {"type": "local", "command": project.shell("first")}}}))
    command(settings, str(project.folder), "--yes")
    session = data_of(host.call("create_session"))["session"]["session_id"]
    assert "$schema" in (project.folder / "opencode.json").read_text(encoding="utf-8"), "OpenCode writes it"
    assert data_of(host.call("create_session"))["session"]["session_id"] != session
    text = (project.folder / "opencode.json").read_text(encoding="utf-8")
    project.write("opencode.json", f"// a comment\n{text}")
    data_of(host.call("create_session"))
    project.write("opencode.json", text.replace("first", "other"))
    error = error_of(host.call("create_session"))
    assert (error["code"], error["details"]["changed"]) == ("untrusted_project", True)
    command(settings, str(project.folder), "--yes")
    project.write(".opencode/tool/new.ts", project.script("new", tool=True))
    error = error_of(host.call("create_session"))
    assert [Path(item["file"]).name for item in error["details"]["files"]] == ["new.ts"]
    for item in data_of(host.call("list_sessions"))["sessions"]:
        host.call("delete_session", session_id=item["session_id"])


def test_a_nested_directory_is_judged_up_to_the_root_of_its_repository(host: Host, project: Project, tmp_path: Path) -> None:
    """OpenCode looks up to the root of the repository, and no further; without one, up to the root of the file system."""
    inner = project.folder / "repo" / "deep" / "er"
    inner.mkdir(parents=True)
    named_plugin(project)
    assert error_of(host.call("create_session", directory=str(inner)))["code"] == "untrusted_project", "no repository: all above counts"
    subprocess.run(["git", "init", "-q", str(project.folder / "repo")], check=True)  # noqa: S607 - git of PATH
    session = data_of(host.call("create_session", directory=str(inner)))["session"]["session_id"]
    host.call("delete_session", session_id=session)
    assert project.ran == [], "above the repository nothing is read"
    repository = Project(project.folder / "repo", tmp_path / "marks")
    plugin(repository)
    error = error_of(host.call("create_session", directory=str(inner)))
    assert [item["file"] for item in error["details"]["files"]] == [str(project.folder / "repo/.opencode/plugin/a.ts")]
    shutil.rmtree(project.folder / "repo" / ".git" / "objects")
    error = error_of(host.call("create_session", directory=str(inner)))
    assert len(error["details"]["files"]) == 2, "a repository that git does not know ends nothing"


def test_links_are_followed_as_opencode_follows_them(host: Host, settings: Settings, project: Project, tmp_path: Path) -> None:
    """A link to a folder is that folder; a linked ``.opencode``, or a linked plugin, is code as any other."""
    link = tmp_path / "link"
    link.symlink_to(project.folder)
    elsewhere = Project(tmp_path / "elsewhere", tmp_path / "marks")
    plugin(elsewhere)
    (project.folder / ".opencode").symlink_to(elsewhere.folder / ".opencode")
    assert error_of(host.call("create_session", directory=str(link)))["code"] == "untrusted_project"
    (project.folder / ".opencode").unlink()
    project.write(".opencode/plugin/.keep", "")
    (project.folder / ".opencode/plugin/l.ts").symlink_to(elsewhere.folder / ".opencode/plugin/a.ts")
    assert error_of(host.call("create_session", directory=str(link)))["code"] == "untrusted_project"
    command(settings, str(link), "--yes")
    session = data_of(host.call("create_session"))["session"]["session_id"]
    host.call("delete_session", session_id=session)
    elsewhere.write(".opencode/plugin/a.ts", elsewhere.script("changed"))
    assert error_of(host.call("create_session"))["details"]["changed"] is True


def test_folders_named_in_the_environment_are_trusted(settings: Settings, project: Project, scripted: OfflineModel) -> None:
    """``OPENCODE_DRIVER_TRUST`` names folders below which all is trusted, a broken file too (the server tells of that)."""
    plugin(project)
    trusting = Settings.from_environment({**settings.environ, "OPENCODE_DRIVER_TRUST": str(project.folder.parent)})
    with Host(trusting, entry_points=False) as host:
        assert data_of(host.call("run_task", prompt="hello"))["state"] == "completed"
    assert project.ran == ["plugin"]


def test_what_was_trusted_is_listed_and_revoked(host: Host, settings: Settings, project: Project) -> None:
    """``--list`` shows it, ``--revoke`` takes it back, and the file belongs to this user alone."""
    mcp(project)
    folder = str(project.folder)
    assert command(settings, folder, exit_code=4)["error"]["code"] == "untrusted_project", "nobody said yes"
    command(settings, folder, "--yes")
    kept = settings.state_dir / "trusted.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    listed = command(settings, "--list")["data"]["folders"]
    assert [(item["directory"], item["files"]) for item in listed] == [(folder, [f"{folder}/opencode.json"])]
    assert command(settings, folder, "--revoke")["data"]["revoked"] is True
    assert command(settings, folder, "--revoke")["data"]["revoked"] is False
    assert error_of(host.call("create_session"))["code"] == "untrusted_project"
    kept.chmod(0o644)
    assert error_of(host.call("create_session"))["code"] == "state_corrupt", "others could have written it"


def test_a_file_that_cannot_be_read_fails_closed(host: Host, settings: Settings, project: Project) -> None:
    """What cannot be judged is not opened: the error names file, line and column, and trusting it is refused, too."""
    project.write("opencode.json", '{\n  "model": "a/b",\n  "mcp": {,}\n}')
    error = error_of(host.call("create_session"))
    assert (error["code"], error["details"]["file"]) == ("config_error", str(project.folder / "opencode.json"))
    assert "line 3, column 11" in error["message"]
    assert command(settings, str(project.folder), "--yes", exit_code=5)["error"]["code"] == "config_error"
    (project.folder / "opencode.json").unlink()


def test_a_folder_without_such_files_costs_only_stats(settings: Settings, project: Project, opened: list[str]) -> None:
    """The check opens no file and starts no program where there is nothing to judge."""
    from netclaw_opencode.opencode.trust import Trust

    (project.folder / "README.md").write_text("hello", encoding="utf-8")
    opened.clear()
    Trust.from_settings(settings).require(str(project.folder))
    assert opened == []


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened, listed or started from now on."""
    import builtins
    import os

    seen: list[str] = []

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **more: object) -> object:
            seen.append(f"{name} {arguments[:1]}")
            return function(*arguments, **more)

        return call

    for place, name in ((os, "open"), (builtins, "open"), (os, "scandir"), (os, "listdir"), (subprocess, "Popen")):
        monkeypatch.setattr(place, name, noting(name, getattr(place, name)))
    return seen


@contextmanager
def own_server(folder: Path, model: OfflineModel, **options: object) -> Iterator[Host]:
    """A host whose server is its own; stopped at the end."""
    environ = environment(folder, model)
    with Host(Settings.from_environment(environ), entry_points=False) as host:
        data_of(host.call("start_server", **options))
        try:
            yield host
        finally:
            host.call("stop_server")


def test_a_server_without_project_code_runs_none(tmp_path: Path) -> None:
    """``--pure`` and no project configuration: MCP, formatter, language server and tool need no trust and do not run.

    A plugin would: OpenCode 1.18 loads it at the first prompt whatever it is told (measured), so it is still asked about.
    """
    project = Project((tmp_path / "work").resolve(), tmp_path / "marks")
    project.config(
        mcp={"m": {"type": "local", "command": project.shell("mcp")}},
        formatter={"f": {"command": project.shell("formatter"), "extensions": [".txt"]}},
        lsp={"l": {"command": project.shell("lsp"), "extensions": [".txt"]}},
    )
    tool(project)
    with OfflineModel() as model, own_server(tmp_path, model, without_project_code=True) as host:
        model.when("write it", ToolCall("write", {"filePath": "${directory}/a.txt", "content": "a\n"}), Text("Written."))
        assert data_of(host.call("run_task", prompt="write it"))["text"] == "Written."
        assert project.ran == []
        plugin(project)
        assert error_of(host.call("run_task", prompt="write it"))["code"] == "untrusted_project"
        assert project.ran == []


def test_a_server_starts_in_no_untrusted_folder_and_stops_without_opening_one(tmp_path: Path) -> None:
    """The folder in which our server works is judged before it starts; stopping it opens no folder that it has not open."""
    project = Project((tmp_path / "work").resolve(), tmp_path / "marks")
    other = tmp_path / "other"
    other.mkdir()
    with OfflineModel() as model:
        with own_server(tmp_path, model) as host:
            kept = data_of(host.call("create_session", directory=str(other)))["session"]["session_id"]
        foreign = Project(other, tmp_path / "marks")
        plugin(foreign)
        with own_server(tmp_path, model) as host:
            assert error_of(host.call("get_session_status", session_id=kept))["code"] == "untrusted_project"
        assert foreign.ran == []
        mcp(project)
        with Host(Settings.from_environment(environment(tmp_path, model)), entry_points=False) as host:
            assert error_of(host.call("start_server"))["code"] == "untrusted_project"
            assert error_of(host.call("check_availability"))["code"] == "untrusted_project"
            assert host.call("stop_server")["ok"] is True
    assert project.ran == []
