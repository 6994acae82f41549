"""The reference host runs actions: two ways in (async and threads), an orderly way out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from types import ModuleType

import anyio
import pytest

from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.settings import Settings
from tests.adapters.host_plugins import Output, called, error_of, fails, hooks, host_of


@pytest.fixture
def driver_life(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A driver that only writes down when it is opened and closed."""
    life: list[str] = []

    class Driver:
        secrets = ()

        def __init__(self, settings: Settings, **seams: object) -> None: ...

        async def __aenter__(self) -> Driver:
            life.append("opened")
            return self

        async def __aexit__(self, *_: object) -> None:
            life.append("closed")

        def leasing(self) -> AbstractAsyncContextManager[None]:
            return nullcontext()

    module = ModuleType("netclaw_opencode.driver")
    module.Driver = Driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "netclaw_opencode.driver", module)
    return life


# --- the two ways in


def test_a_call_from_a_thread_gives_the_envelope() -> None:
    """``host.call`` takes the arguments as keywords and returns the envelope of the dispatcher."""
    assert called(host_of(), text="hi") == {"ok": True, "action": "act", "data": {"by": "handler", "text": "hi"}}


def test_a_call_in_async_code_gives_the_same_envelope() -> None:
    """``await host.invoke`` and ``host.call`` differ in form only."""

    async def main() -> dict[str, object]:
        async with host_of() as host:
            return await host.invoke("act", {"text": "hi"})

    assert anyio.run(main) == called(host_of(), text="hi")


def test_an_argument_may_be_called_action() -> None:
    """The name of the action is positional only, so it takes no name away from arguments."""
    error = error_of(called(host_of(), action="x"))
    assert error["code"] == "invalid_input" and "action" in str(error["message"])


def test_an_unknown_action_is_an_envelope_too() -> None:
    """Calling what does not exist raises nothing."""
    with host_of() as host:
        assert error_of(host.call("acct"))["code"] == "unknown_action"


def test_threads_share_one_event_loop_and_one_driver(driver_life: list[str]) -> None:
    """Calls from several threads run at the same time, in one event loop with one driver."""
    together = 4
    arrived, loops, everyone = [0], set(), asyncio.Event()

    async def meet(arguments: Output, context: ActionContext) -> Output:
        loops.add(asyncio.get_running_loop())
        arrived[0] += 1
        if arrived[0] == together:
            everyone.set()
        await everyone.wait()
        return {"driver": str(id(context.driver))}

    with host_of(handler=meet) as host, ThreadPoolExecutor(together) as pool:
        answers = list(pool.map(lambda _: host.call("act"), range(together)))
    assert len({str(answer) for answer in answers}) == len(loops) == 1
    assert driver_life == ["opened", "closed"]


def test_a_host_works_inside_a_running_event_loop() -> None:
    """The sync form has its own loop in its own thread, so a notebook may use it."""

    async def main() -> dict[str, object]:
        return called(host_of())

    assert anyio.run(main)["ok"] is True


def test_a_host_can_be_entered_again_after_it_was_left(driver_life: list[str]) -> None:
    """Loading is done once; each entering has a driver of its own."""
    host = host_of()
    assert called(host) == called(host)
    assert driver_life == ["opened", "closed"] * 2


def test_calling_before_entering_says_what_to_do() -> None:
    """Outside its ``with`` a host runs nothing, and says how to."""
    host = host_of()
    with pytest.raises(RuntimeError, match="with Host"):
        host.call("act")
    with pytest.raises(RuntimeError, match="async with Host"):
        anyio.run(host.invoke, "act")


def test_entering_twice_is_an_error() -> None:
    """One host has one life at a time."""
    with host_of() as host, pytest.raises(RuntimeError, match="entered already"):
        host.__enter__()


def test_settings_come_from_the_environment_on_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong environment does not keep a host from being made and listed; entering it raises the typed error."""
    monkeypatch.setenv("OPENCODE_API_URL", "ftp://nowhere")
    host = Host(exclude=(OWN_PLUGIN,), entry_points=False)
    with pytest.raises(Exception, match="OPENCODE_API_URL"):
        host.__enter__()
    assert [thread for thread in threading.enumerate() if "portal" in thread.name] == []


# --- the way out


def test_shutdown_is_the_last_hook(driver_life: list[str]) -> None:
    """Plugins are told when the driver is closed; one that fails does not keep it from the others."""
    host = host_of(hooks(shutdown=lambda: driver_life.append("shutdown")), hooks(shutdown=fails))
    called(host)
    assert driver_life == ["opened", "closed", "shutdown"]
    assert [problem.plugin for problem in host.problems] == ["p2"]


def test_an_exception_in_the_with_block_still_shuts_down(driver_life: list[str]) -> None:
    """Leaving by an exception closes everything and passes the exception on."""
    with pytest.raises(LookupError), host_of(hooks(shutdown=lambda: driver_life.append("shutdown"))):
        raise LookupError
    assert driver_life == ["opened", "closed", "shutdown"]


def test_leaving_cancels_a_call_of_another_thread(driver_life: list[str]) -> None:
    """A call that still runs when the host is left is cancelled, stops in order, and says so in its envelope."""
    begun = threading.Event()

    async def endless(arguments: Output, context: ActionContext) -> Output:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            driver_life.append("stopped")
        return {}

    with ThreadPoolExecutor(1) as pool:
        with host_of(handler=endless) as host:
            running = pool.submit(host.call, "act")
            assert begun.wait(10)
        assert error_of(running.result(10))["code"] == "cancelled"
    assert driver_life == ["opened", "stopped", "closed"]


def test_cancelling_the_caller_cancels_the_action() -> None:
    """In async code cancellation passes through the host in both directions: the handler ends, the caller is cancelled."""
    ended: list[str] = []

    async def endless(arguments: Output, context: ActionContext) -> Output:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("handler")
        return {}

    async def main() -> None:
        async with host_of(handler=endless) as host:
            with anyio.move_on_after(0.01) as scope:
                await host.invoke("act")
            assert scope.cancelled_caught

    anyio.run(main)
    assert ended == ["handler"]


INTERRUPTED = """
import os, signal
import anyio
from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.host import Host
from netclaw_opencode.hookspecs import SkillInfo, hookimpl
from netclaw_opencode.settings import Settings

class Skill:
    @hookimpl
    def netclaw_register_skills(self, register): register(SkillInfo("s", "1", "d"))
    @hookimpl
    def netclaw_register_actions(self, register):
        register(ActionDefinition("act", "s", "run", "Act.", {}, {}, endless))
    @hookimpl
    def netclaw_shutdown(self): print("closed")

async def endless(arguments, context):
    os.kill(os.getpid(), signal.SIGINT)
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            print("stopped")

try:
    with Host(Settings(), exclude=("opencode-driver",), entry_points=False, plugins={"s": Skill()}) as host:
        host.call("act")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_is_raised_when_the_action_has_stopped() -> None:
    """Ctrl-C in a blocking call: the action ends its work first, then the host closes, then the caller is told."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.split() == ["stopped", "closed", "interrupted"], done.stderr


def test_nothing_is_left_in_the_process() -> None:
    """After a host was left, its thread is gone."""
    before = threading.active_count()
    called(host_of())
    assert threading.active_count() == before


FORKED = """
import os
import sys
from tests.adapters.host_plugins import hooks, host_of
told = []
with host_of(hooks(shutdown=lambda: told.append("closed"))) as host:
    child = os.fork()
    if child == 0:
        try:
            host.call("act")
        except RuntimeError as error:
            told.append("forked" if "forked" in str(error) else str(error))
        host.__exit__(None, None, None)
        print("child", *told, flush=True)
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    ok = host.call("act")["ok"]
print("parent", status, ok, *told)
"""


def test_a_fork_is_told_to_make_a_host_of_its_own() -> None:
    """A call there would wait for a thread that it does not have; leaving the host there closes nothing of its parent's."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.splitlines() == ["child forked", "parent 0 True closed"], done.stderr
