"""A call from the command line ends in an envelope: done, failed, interrupted or left in a hurry."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType

import anyio
import pytest

from netclaw_opencode.adapters.cli import output, running
from netclaw_opencode.adapters.cli.running import Call
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.facts import ProgressEvent

Work = Callable[[Call, Mapping[str, object]], Awaitable[dict[str, object]]]


class ScriptedHost:
    """A host whose one action is the given coroutine function; records that it was left."""

    def __init__(self, call: Call, work: Work, *, refuse: DriverError | None = None) -> None:
        self.call = call
        self.work = work
        self.refuse = refuse
        self.left = False
        self.problems = ("plugin 'x' is broken",)

    async def __aenter__(self) -> ScriptedHost:
        if self.refuse is not None:
            raise self.refuse
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await anyio.lowlevel.checkpoint()  # leaving must not be cancelled
        self.left = True

    async def invoke(self, action: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        return await self.work(self.call, arguments)


class Watcher:
    """A view that remembers what it was shown."""

    def __init__(self) -> None:
        self.events: list[ProgressEvent] = []
        self.ticks = 0
        self.closed = False

    def on_event(self, event: ProgressEvent) -> None:
        self.events.append(event)

    def tick(self) -> None:
        self.ticks += 1

    def close(self) -> None:
        self.closed = True


def nobody_leaves(envelope: dict[str, object]) -> None:
    """A second signal does not come in most tests."""
    raise AssertionError(envelope)


def run(
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    *,
    refuse: DriverError | None = None,
    leave: Callable[[dict[str, object]], None] = nobody_leaves,
) -> tuple[dict[str, object], ScriptedHost, Watcher]:
    """Run one call on a scripted host."""
    watcher = Watcher()
    call = Call("run_task", [watcher])
    host = ScriptedHost(call, work, refuse=refuse)
    monkeypatch.setattr(running, "open_host", lambda _call: host)
    return running.run(call, running.one_action(call, {"prompt": "x"}), leave=leave), host, watcher


def error_of(envelope: Mapping[str, object]) -> Mapping[str, object]:
    """The error of a failed envelope."""
    assert envelope["ok"] is False
    error = envelope["error"]
    assert isinstance(error, Mapping)
    return error


async def finish(call: Call, arguments: Mapping[str, object]) -> dict[str, object]:
    """An action that succeeds and says what it was given."""
    call.netclaw_on_event(ProgressEvent("status", "busy"))
    return {"ok": True, "action": call.action, "data": dict(arguments)}


def signalled_by(number: int) -> Work:
    """An action that is interrupted and cleans up as the driver does: shielded, telling what it stopped."""

    async def work(call: Call, _arguments: Mapping[str, object]) -> dict[str, object]:
        try:
            os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                call.netclaw_on_event(ProgressEvent("stopping", "session ses_1 is seen idle", "ses_1", facts={"confirmed": True}))
                call.netclaw_on_event(ProgressEvent("session_deleted", "session ses_1 deleted", "ses_1"))
        raise AssertionError("not reached")

    return work


def test_a_call_returns_its_envelope_and_closes_every_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """The envelope is the host's own; views hear every event, are closed, and the host is left in order."""
    envelope, host, watcher = run(finish, monkeypatch)
    assert envelope == {"ok": True, "action": "run_task", "data": {"prompt": "x"}}
    assert [event.kind for event in watcher.events] == ["status"]
    assert watcher.closed
    assert host.left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_call_and_the_error_says_what_was_stopped(
    number: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """After Ctrl-C, SIGTERM or a closed terminal the clean-up runs to its end and its findings stand in the error."""
    # Under nohup this process ignores SIGHUP, and so would the call.
    before = signal.signal(number, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(number, before))
    envelope, host, watcher = run(signalled_by(number), monkeypatch)
    error = error_of(envelope)
    assert error["code"] == "cancelled"
    assert str(error["message"]).endswith(": session ses_1 is seen idle; session ses_1 deleted")
    details = error["details"]
    assert isinstance(details, Mapping)
    assert details["stopped"] == [{"message": "session ses_1 is seen idle", "session_id": "ses_1", "confirmed": True}]
    assert watcher.events[0].kind == "stopping"
    assert host.left


def test_signals_are_back_as_they_were_after_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call leaves no signal handler behind."""
    before = signal.getsignal(signal.SIGTERM)
    run(finish, monkeypatch)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_leaves_at_once_and_says_that_nothing_was_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever presses Ctrl-C twice does not wait for the clean-up, and is told where to look."""
    last: list[dict[str, object]] = []

    async def work(_call: Call, _arguments: Mapping[str, object]) -> dict[str, object]:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
        finally:
            with anyio.move_on_after(5, shield=True):
                os.kill(os.getpid(), signal.SIGINT)
                # In life the process ends here, in the middle of the clean-up.
                while not last:
                    await anyio.lowlevel.checkpoint()
        raise AssertionError("not reached")

    run(work, monkeypatch, leave=last.append)
    error = error_of(last[0])
    assert error["code"] == "cancelled"
    assert "not seen" in str(error["message"])
    assert error["next"] == "netclaw-opencode inspect get-session-status --all-directories"


def test_a_host_that_cannot_be_entered_gives_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error before the action is an envelope with the same code, not a traceback."""
    envelope, _, _ = run(finish, monkeypatch, refuse=ServerProblem("server_unreachable", "nothing answers"))
    assert error_of(envelope)["code"] == "server_unreachable"


def test_a_defect_becomes_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks, the caller gets an envelope that names it."""

    async def broken(_call: Call, _arguments: Mapping[str, object]) -> dict[str, object]:
        raise LookupError("a defect")

    envelope, _, watcher = run(broken, monkeypatch)
    assert error_of(envelope)["message"] == "LookupError: a defect"
    assert error_of(envelope)["code"] == "internal_error"
    assert watcher.closed


def test_settings_errors_become_envelopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad OPENCODE_API_URL is refused with its own code before anything is sent."""
    monkeypatch.setenv("OPENCODE_API_URL", "ftp://example.org")
    call = Call("run_task")
    envelope = running.run(call, running.one_action(call, {}), leave=nobody_leaves)
    assert error_of(envelope)["code"] == "invalid_url"


def test_a_vanished_working_folder_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that stands in a removed folder gets a sentence, not a traceback."""

    def gone(_cls: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("netclaw_opencode.settings.Path.cwd", classmethod(gone))
    monkeypatch.delenv("OPENCODE_DRIVER_DIRECTORY", raising=False)
    with pytest.raises(DriverError, match="does not exist any more"):
        running.read_settings()


def test_a_signal_that_the_parent_ignores_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under nohup the end of the terminal does not end the task."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        async def work(call: Call, arguments: Mapping[str, object]) -> dict[str, object]:
            os.kill(os.getpid(), signal.SIGHUP)
            await anyio.lowlevel.checkpoint()
            return await finish(call, arguments)

        envelope, _, _ = run(work, monkeypatch)
        assert envelope["ok"] is True
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("data", "code"), [({"state": "waiting"}, 7), ({"state": "completed"}, 0), ({}, 0), (None, 0)])
def test_a_turn_that_waits_is_not_done(data: object, code: int) -> None:
    """A script that goes on after 0 must not go on here: the exit code is that of a request in the way."""
    assert output.exit_code({"ok": True, "action": "run_task", "data": data}) == code
