"""The skill's actions on the real server, as a test calls them: data or error of one call, and what it left.

Owns the way through a host and the check that nothing runs after a test. What is left is looked for by raw
HTTP, never by the driver, and it is not ended here: a turn that still runs fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import psutil

from netclaw_opencode.facts import Decision, PendingRequest, ProgressEvent
from netclaw_opencode.hookspecs import hookimpl
from netclaw_opencode.host import Host
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.server import OpenCodeServer
from netclaw_opencode.testing.waiting import SOON, wait_until
from tests.support.raw import RawOpenCode

Json: TypeAlias = dict[str, Any]
UNKNOWN = "ses_00000000000000000000000000"


@dataclass(slots=True, eq=False)
class Policy:
    """A plugin that answers requests as the test says and keeps every progress event."""

    decide: Callable[[PendingRequest], Decision | None] = lambda _request: None
    asked: list[PendingRequest] = field(default_factory=list)
    events: list[ProgressEvent] = field(default_factory=list)

    @hookimpl
    def netclaw_decide_permission(self, request: PendingRequest) -> Decision | None:
        """Decide a permission."""
        self.asked.append(request)
        return self.decide(request)

    @hookimpl
    def netclaw_answer_question(self, request: PendingRequest) -> Decision | None:
        """Answer a question."""
        self.asked.append(request)
        return self.decide(request)

    @hookimpl
    def netclaw_on_event(self, event: ProgressEvent) -> None:
        """Keep the event."""
        self.events.append(event)

    def told(self, kind: str) -> list[ProgressEvent]:
        """The events of one kind, in order."""
        return [event for event in self.events if event.kind == kind]


@dataclass(slots=True)
class Requests:
    """Every HTTP request that the driver sent, in order, as ``METHOD /path``; the tests' own raw ones are not among them."""

    seen: list[str] = field(default_factory=list)

    def matching(self, pattern: str) -> list[str]:
        """The requests whose method and path fit the pattern as a whole."""
        return [line for line in self.seen if re.fullmatch(pattern, line)]

    @property
    def prompts(self) -> list[str]:
        """The prompts that were posted, by either route."""
        return self.matching(r"POST /session/\w+/(message|prompt_async)")


class Acting:
    """A host with a policy, and raw sight of the directory in which its sessions work."""

    def __init__(self, host: Host, raw: RawOpenCode, policy: Policy) -> None:
        self.host = host
        self.raw = raw
        self.policy = policy
        self._made: list[str] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="acting")

    @property
    def directory(self) -> str:
        """Where sessions work unless a call says otherwise."""
        return self.raw.directory

    def data(self, action: str, /, **arguments: object) -> Json:
        """What the action returned; it must succeed."""
        return data_of(self.host.call(action, **arguments))

    def error(self, action: str, /, **arguments: object) -> Json:
        """The error with which the action failed; it must fail."""
        return error_of(self.host.call(action, **arguments))

    def later(self, action: str, /, **arguments: object) -> Future[dict[str, object]]:
        """The call's envelope, while the test goes on."""
        return self._threads.submit(self.host.call, action, **arguments)

    def create(self, **arguments: object) -> str:
        """A session of ours; its id. It is deleted after the test."""
        session = self.data("create_session", **({"directory": self.directory} | arguments))["session"]
        return self.remember(str(session["session_id"]))

    def remember(self, session_id: str) -> str:
        """Delete this session after the test too."""
        self._made.append(session_id)
        return session_id

    def started(self, prompt: str, **arguments: object) -> str:
        """A session of ours whose turn was started by send_message_async; its id."""
        session_id = self.create()
        self.data("send_message_async", session_id=session_id, prompt=prompt, **arguments)
        return session_id

    def running(self) -> list[str]:
        """What runs or waits in the directory, by raw HTTP."""
        found = [f"{session_id} is {status['type']}" for session_id, status in self.raw.statuses().items()]
        found += [f"{kind} {item['id']}" for kind in ("permission", "question") for item in self.raw.pending(kind)]
        return found + ["a model call"] * self.raw.model.open_connections

    def close(self) -> None:
        """Fail if anything still runs; delete the sessions that the test made."""
        self._threads.shutdown(wait=True)
        try:
            wait_until(lambda: not self.running(), SOON, what="an end of all turns")
        finally:
            for session_id in self._made:
                self.raw.abort(session_id)
                self.raw.delete(session_id)


def data_of(envelope: dict[str, object]) -> Json:
    """The data of an envelope that must have succeeded."""
    data = envelope.get("data")
    assert envelope["ok"] is True and isinstance(data, dict), envelope
    return data


def error_of(envelope: dict[str, object]) -> Json:
    """The error of an envelope that must have failed, with cause and next step (rule no-silence)."""
    error = envelope.get("error")
    assert envelope["ok"] is False and isinstance(error, dict), envelope
    assert error["message"] and error["next"], error
    return error


def settings_of(server: OpenCodeServer, folder: Path, **more: str) -> Settings:
    """The way to a server that runs already, with a private state directory."""
    return Settings.from_environment(
        {
            "OPENCODE_API_URL": server.base_url,
            "OPENCODE_SERVER_PASSWORD": server.password,
            "OPENCODE_DRIVER_STATE_DIR": str(folder / "state"),
            **more,
        }
    )


def tool_processes(mark: str) -> list[psutil.Process]:
    """Live processes whose command line holds the mark: what a bash tool started."""
    return [item for item in psutil.process_iter(["cmdline"]) if mark in " ".join(item.info["cmdline"] or ())]


def wait_gone(mark: str) -> None:
    """Wait until no process holds the mark any more."""
    wait_until(lambda: not tool_processes(mark), SOON, what=f"the end of {mark}")


def recording(requests: Requests) -> Callable[[httpx.AsyncHTTPTransport, httpx.Request], object]:
    """A transport method that notes each request and then sends it; only the driver is asynchronous."""
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def handle(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        requests.seen.append(f"{request.method} {request.url.path}")
        return await send(transport, request)

    return handle
