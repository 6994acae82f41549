"""The reference host finds plugins by entry point, and its switches: only these, not these, and the trace."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.host.installed import may_have_entry_points
from netclaw_opencode.host.plugin_loader import HostProblem
from tests.adapters.host_plugins import Plugin, action, codes


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """Modules that a test imports from its own folders are forgotten after it."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("hosttest"):
            del sys.modules[name]


# --- entry points


def install(folder: Path, name: str, entry_points: str, **modules: str) -> None:
    """Lay down what an installed package looks like."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[netclaw.skills]\n{textwrap.dedent(entry_points)}\n", encoding="utf-8")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")


GOOD_MODULE = """
    from netclaw_opencode.actions.registry import ActionDefinition
    from netclaw_opencode.hookspecs import SkillInfo, hookimpl
    @hookimpl
    def netclaw_register_skills(register):
        register(SkillInfo("{skill}", "1.0.0", "A skill of a test."))
    @hookimpl
    def netclaw_register_actions(register):
        register(ActionDefinition("{action}", "{skill}", "inspect", "One.", {{"type": "object"}}, {{"type": "object"}}, "{module}:run"))
    async def run(arguments, context):
        return {{"from": "{module}"}}
"""


def test_plugins_are_found_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with an entry point of the group is loaded without being named anywhere."""
    install(
        tmp_path, "found", "found = hosttest_found", hosttest_found=GOOD_MODULE.format(skill="found", action="one", module="hosttest_found")
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(only=("found",))
    assert (host.plugins, list(host.registry.actions), host.problems) == (("found",), ["one"], ())
    assert Host(exclude=(OWN_PLUGIN,), entry_points=False).plugins == ()


def test_a_broken_entry_point_is_reported_and_the_others_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import error, a missing attribute and an exit at import are three problems; the good plugin works."""
    install(
        tmp_path,
        "mixed",
        "a-import = hosttest_missing\nb-attribute = hosttest_good:nothing\nc-exit = hosttest_exit\nd-good = hosttest_good",
        hosttest_good=GOOD_MODULE.format(skill="d-good", action="one", module="hosttest_good"),
        hosttest_exit="raise SystemExit(1)",
    )
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(only=("a-import", "b-attribute", "c-exit", "d-good"))
    assert codes(host) == [("a-import", "import_failed"), ("b-attribute", "import_failed"), ("c-exit", "import_failed")]
    assert "hosttest_missing" in host.problems[0].message
    assert host.plugins == ("d-good",)


def test_two_packages_with_one_plugin_name_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second entry point of a name is reported with both places, and not imported."""
    install(tmp_path, "first", "same = hosttest_a", hosttest_a=GOOD_MODULE.format(skill="same", action="one", module="hosttest_a"))
    install(tmp_path, "second", "same = hosttest_b", hosttest_b="raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(only=("same",))
    assert codes(host) == [("same", "name_clash")]
    assert "hosttest_a of first" in host.problems[0].message and "hosttest_b of second" in host.problems[0].message


def test_our_own_entry_point_is_not_a_second_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this package is installed, its entry point (for other hosts) does not clash with itself."""
    install(tmp_path, "netclaw-opencode-test", f"{OWN_PLUGIN} = netclaw_opencode.plugin")
    monkeypatch.syspath_prepend(tmp_path)
    host = Host(only=(OWN_PLUGIN,))
    assert [problem for problem in host.problems if problem.code == "name_clash"] == []


# --- switches


def test_a_plugin_left_out_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switches work before the import: a broken plugin that is excluded does nothing at all."""
    install(tmp_path, "bad", "bad = hosttest_bad", hosttest_bad="raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert Host(only=("bad",)).problems[0].code == "import_failed"
    assert Host(exclude=("bad", OWN_PLUGIN)).problems == ()
    assert "hosttest_bad" not in sys.modules


def test_only_and_exclude_together_leave_the_difference() -> None:
    """A plugin runs where only-these names it and not-these does not."""
    plugins = {name: Plugin(name, action(name, name)) for name in "abc"}
    host = Host(only=("a", "b"), exclude=("b",), entry_points=False, plugins=plugins)
    assert (host.plugins, host.problems) == (("a",), ())


@pytest.mark.parametrize("switch", ["only", "exclude"])
def test_a_mistyped_switch_is_reported(switch: str) -> None:
    """A name in a switch that no plugin has is a problem: a mistyped not-these would load what it should not."""
    host = Host(**{switch: ("policy-plugn",)}, entry_points=False, plugins={"policy-plugin": Plugin("p")})  # type: ignore[arg-type]
    assert [problem for problem in host.problems if problem.plugin == "policy-plugn"] == [
        HostProblem(
            "policy-plugn",
            "unknown_plugin",
            f"the switch {switch!r} names it, but no plugin is called so",
            "did you mean 'policy-plugin'?",
        )
    ]


# --- tracing


def test_the_trace_shows_each_hook_call_with_its_plugin() -> None:
    """The trace switch gives pluggy's trace: what was taken in and left out, and each call with the plugin's name."""
    lines: list[str] = []
    Host(exclude=(OWN_PLUGIN,), entry_points=False, plugins={"seen": Plugin("seen", action("one", "seen"))}, trace=lines.append)
    text = "".join(lines)
    assert "left out opencode-driver" in text
    assert "calling netclaw_register_actions of seen" in text
    assert "taken in seen" in text


def test_a_trace_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A listener's own exception is logged and the plugin is loaded all the same."""

    def trace(text: str) -> None:
        raise OSError("disk full")

    with caplog.at_level(logging.CRITICAL):
        host = Host(exclude=(OWN_PLUGIN,), entry_points=False, plugins={"a": Plugin("a", action("one", "a"))}, trace=trace)
    assert (host.plugins, host.problems) == (("a",), ())


# --- the quick look before importlib.metadata


OURS = "netclaw_opencode.plugin"


def may_have(folder: Path) -> bool:
    """What the quick look says of one folder."""
    return may_have_entry_points("netclaw.skills", besides=OURS, path=[str(folder), str(folder / "missing")])


@pytest.mark.parametrize(
    ("entry_points", "others"),
    [
        (f"opencode-driver = {OURS}", False),
        (f"opencode-driver={OURS}\n\n[console_scripts]\nx = y:z", False),
        (f"opencode-driver = {OURS}\nother = theirs", True),
        ("other = theirs", True),
    ],
)
def test_only_a_package_with_another_entry_point_is_worth_a_search(tmp_path: Path, entry_points: str, others: bool) -> None:
    """Our own entry point alone is no reason to import importlib.metadata; another one is."""
    install(tmp_path, "found", entry_points)
    (tmp_path / "without-1.0.dist-info").mkdir()
    (tmp_path / "file.egg-info").write_text("Name: file", encoding="utf-8")
    assert may_have(tmp_path) is others


def test_what_the_quick_look_cannot_read_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive, an egg, a broken file and a finder of somebody else's each mean: look properly."""
    assert not may_have(tmp_path)
    archive = tmp_path / "packages.zip"
    archive.write_bytes(b"PK")
    assert may_have(archive)
    assert may_have(tmp_path / "thing.egg")
    install(tmp_path, "broken", "other = theirs")
    (tmp_path / "broken-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe")
    assert may_have(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, SimpleNamespace(find_distributions=lambda _: [])])
    assert may_have(tmp_path / "empty")


def test_a_host_without_other_plugins_starts_lean() -> None:
    """Neither the search for entry points, nor YAML, nor the validator of schemas is imported before something needs it."""
    code = (
        "import sys\nfrom netclaw_opencode.host import Host\nHost()\nprint({'importlib.metadata', 'yaml', 'jsonschema'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
