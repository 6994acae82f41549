"""The conformance kit: the reference host keeps the contract, a host that does not is told where, and strangers can use the fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.binary import opencode_binary
from netclaw_opencode.testing.probe import ACTION, HookProbe, Invoke, conformance_problems, plugin_problems
from tests.adapters.host_plugins import Plugin, action

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def reference(plugins: Mapping[str, object]) -> Iterator[Invoke]:
    """The reference host, as a host under test."""
    with Host(Settings(), entry_points=False, plugins=plugins) as host:
        yield host.run


def test_the_reference_host_keeps_the_contract() -> None:
    """Every case of the kit holds for our own host."""
    assert conformance_problems(reference) == []


def altered(change: Callable[[Host, str, JsonObject], JsonObject]) -> Callable[[Mapping[str, object]], object]:
    """A host that does one thing otherwise."""

    @contextmanager
    def opened(plugins: Mapping[str, object]) -> Iterator[Invoke]:
        with Host(Settings(), entry_points=False, plugins=plugins) as host:
            yield lambda name, arguments: change(host, name, arguments)

    return opened


def silent(host: Host, name: str, arguments: JsonObject) -> JsonObject:
    """Turns every failure into an empty success."""
    envelope = host.run(name, arguments)
    return envelope if envelope["ok"] else {"ok": True, "action": name, "data": {}}


def raising(host: Host, name: str, arguments: JsonObject) -> JsonObject:
    """Raises where it should answer."""
    envelope = host.run(name, arguments)
    if not envelope["ok"]:
        raise RuntimeError("no")
    return envelope


def twice(host: Host, name: str, arguments: JsonObject) -> JsonObject:
    """Runs everything twice."""
    host.run(name, arguments)
    return host.run(name, arguments)


def chatty(host: Host, name: str, arguments: JsonObject) -> JsonObject:
    """Adds what the envelope has no room for."""
    return {**host.run(name, arguments), "mood": "good"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (silent, "a veto ends the call before anything is done: the outcome is ok, not vetoed"),
        (raising, "a handler that raises is a failed call, not an exception: RuntimeError was raised instead: no"),
        (twice, "a call runs the handler and is told to after_action: the hooks called were"),
        (chatty, "a call runs the handler and is told to after_action: the envelope breaks its schema"),
    ],
)
def test_a_host_that_does_otherwise_is_told_where(change: Callable[[Host, str, JsonObject], JsonObject], said: str) -> None:
    """Each finding names the demand that it breaks."""
    found = conformance_problems(altered(change))  # type: ignore[arg-type]
    assert any(problem.startswith(said) for problem in found), found


def test_a_host_that_forgets_its_end_is_told() -> None:
    """A plugin has to be told that it is over, or it cannot release what it holds."""

    @contextmanager
    def left_open(plugins: Mapping[str, object]) -> Iterator[Invoke]:
        host = Host(Settings(), entry_points=False, plugins=plugins).__enter__()
        open_hosts.append(host)
        yield host.run

    open_hosts: list[Host] = []
    try:
        assert all("on closing, the hooks called were []" in problem for problem in conformance_problems(left_open))
        assert open_hosts
    finally:
        for host in open_hosts:
            host.__exit__(None, None, None)


def test_a_plugin_is_judged_by_the_reference_host() -> None:
    """An empty list for a sound plugin, a sentence for each fault of another."""
    assert plugin_problems(HookProbe()) == []
    wrong = plugin_problems(Plugin("wrong", action(ACTION, "wrong", tier="everything")))
    assert len(wrong) == 1 and "everything" in wrong[0]


@pytest.mark.real
def test_the_tests_of_the_example_pass_with_the_kit(tmp_path: Path) -> None:
    """A stranger's plugin, its conftest of one line, and a real server behind its tests: as the guide says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base"), "tests"],
        cwd=ROOT / "examples" / "permission_policy",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples" / "permission_policy")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENCODE_DRIVER_BINARY": opencode_binary(),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
