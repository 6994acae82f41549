"""A fault proxy: HTTP over loopback between the driver and the real server, or between the server and the model.

Owns the faults of the wire, as data, and the log of what came by, in order, so that a test can show that its fault fired.
Every request gets a connection of its own. It knows routes as text and nothing of OpenCode.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from netclaw_opencode.testing.http_bytes import closing, header, read_all, read_exactly, read_head, unchunked, with_length
from netclaw_opencode.testing.waiting import SOON

_PIECE = 64 * 1024
_TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Latency:
    """Every answer comes so many seconds later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer drips: ``piece`` bytes at a time, ``bytes_per_second`` in all; its first ``free`` bytes come at once."""

    bytes_per_second: float
    piece: int = 1
    free: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """Accepted, and never answered. ``forward``: the server gets the request, and its answer is lost."""

    forward: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends after so many bytes of the answer's head, or of its body; ``reset`` ends it by RST."""

    head: int | None = None
    body: int | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """The answer stops after so many bytes of its body, and the connection stays open."""

    body: int


@dataclass(frozen=True, slots=True)
class Canned:
    """These very bytes, and nothing is forwarded."""

    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Edit:
    """The real answer, where it is a 200, with another body."""

    change: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Pause:
    """The request waits at the proxy until ``go`` is set; ``reached`` tells that it came."""

    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    after: bool = False
    """Hold the answer, not the request."""


Fault = Latency | Slow | Silence | Cut | Stall | Canned | Edit | Pause


def answer(body: bytes | str, *, status: int = 200, kind: str = "application/json", **headers: str) -> Canned:
    """Return a whole HTTP answer."""
    content = body.encode() if isinstance(body, str) else body
    more = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines = [f"HTTP/1.1 {status} Fault", f"content-type: {kind}", f"content-length: {len(content)}", *more, "connection: close", "", ""]
    return Canned("\r\n".join(lines).encode() + content)


def edit_json(change: Callable[[dict[str, object]], object]) -> Edit:
    """Return the real JSON answer, changed."""
    return Edit(lambda body: json.dumps(change(json.loads(body))).encode())


@dataclass(slots=True)
class Seen:
    """One request: ``route`` is ``METHOD /path``; sizes are bytes of request and answer bodies as far as they were sent."""

    route: str
    query: str
    at: float
    fault: Fault | None = None
    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class _Rule:
    pattern: str
    fault: Fault
    times: int | None
    fired: int = 0


class FaultProxy:
    """Listens on a free loopback port, and passes everything on to ``target`` (a base URL) but for its rules."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._rules: list[_Rule] = []
        self._log: list[Seen] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="fault-proxy", daemon=True)

    # --- life ------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(SOON)
        for thread in list(self._threads):
            thread.join(SOON)

    @property
    def port(self) -> int:
        """The port of the proxy."""
        found: int = self._listener.getsockname()[1]
        return found

    @property
    def url(self) -> str:
        """The base URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def aim(self, target: str) -> None:
        """Pass everything on to another server from now on."""
        parts = urlsplit(target)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 80)

    # --- rules and what came of them ---------------------------------------------------------------------------------------

    def on(self, pattern: str, fault: Fault, *, times: int | None = None) -> _Rule:
        """Inject the fault into requests whose ``METHOD /path`` fits (``*`` stands for anything), so many times or always.

        The newest rule that fits decides. The rule's ``fired`` counts.
        """
        rule = _Rule(pattern, fault, times)
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """Forget every rule; what is held by one stays held."""
        with self._lock:
            self._rules.clear()

    def seen(self, pattern: str = "*") -> list[Seen]:
        """Return the requests so far that fit, in order."""
        with self._lock:
            return [item for item in self._log if fnmatchcase(item.route, pattern)]

    def count(self, pattern: str = "*") -> int:
        """Return how many requests so far fit."""
        return len(self.seen(pattern))

    def forget(self) -> None:
        """Empty the log."""
        with self._lock:
            self._log.clear()

    # --- one connection ----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), name="fault-proxy-connection", daemon=True)
            self._threads = [item for item in self._threads if item.is_alive()] + [thread]
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, ValueError):
            client.settimeout(SOON)
            head, rest = read_head(client)
            if not head:
                return
            method, target = head.split(b"\r\n", 1)[0].split(b" ")[:2]
            body = rest + read_exactly(client, int(header(head, b"content-length") or 0) - len(rest))
            path, _, query = target.decode("latin-1").partition("?")
            seen = Seen(f"{method.decode()} {path}", query, time.monotonic(), sent=len(body))
            with self._lock:
                self._log.append(seen)
                rule = next((item for item in self._rules if fnmatchcase(seen.route, item.pattern) and item.fired != item.times), None)
                if rule is not None:
                    rule.fired += 1
                    seen.fault = rule.fault
            self._answer(client, seen, head + b"\r\n\r\n" + body)

    def _answer(self, client: socket.socket, seen: Seen, request: bytes) -> None:
        fault = seen.fault
        match fault:
            case Canned(raw=raw):
                seen.received = len(raw)
                client.sendall(raw)
                # A caller that still reads must not lose the rest to a reset.
                client.shutdown(socket.SHUT_WR)
                self._hold(client, seconds=0.2)
                return
            case Silence(forward=False):
                self._hold(client)
                return
            case Pause(go=go, reached=reached, after=False):
                reached.set()
                if self._hold(client, until=go):
                    return
        with socket.create_connection(self._target, timeout=SOON) as server:
            server.sendall(closing(request))
            head, rest = read_head(server, watched=client, stopping=self._stopping)
            if not head:
                return
            if isinstance(fault, Silence):
                self._hold(client)
                return
            if isinstance(fault, Latency):
                self._hold(client, seconds=fault.seconds)
            if isinstance(fault, Pause) and fault.after:
                fault.reached.set()
                self._hold(client, until=fault.go)
            self._relay(client, server, seen, closing(head + b"\r\n\r\n"), rest)

    def _relay(self, client: socket.socket, server: socket.socket, seen: Seen, head: bytes, rest: bytes) -> None:
        fault = seen.fault
        if isinstance(fault, Edit) and head.split(b" ", 2)[1] == b"200":
            whole = rest + read_all(server)
            content = fault.change(unchunked(whole) if header(head, b"transfer-encoding") == b"chunked" else whole)
            client.sendall(with_length(head, len(content)) + content)
            seen.received = len(content)
            return
        if isinstance(fault, Cut) and fault.head is not None:
            client.sendall(head[: fault.head])
            _end(client, reset=fault.reset)
            return
        self._send(client, head, fault)
        piece = rest
        while True:
            if piece:
                room = _room(fault, seen.received)
                if room is not None and len(piece) >= room:
                    client.sendall(piece[:room])
                    seen.received += room
                    if isinstance(fault, Stall):
                        self._hold(client)
                    else:
                        _end(client, reset=isinstance(fault, Cut) and fault.reset)
                    return
                self._send(client, piece, fault, done=seen.received)
                seen.received += len(piece)
            if not self._readable(server, client):
                return
            piece = server.recv(_PIECE)
            if not piece:
                return

    def _send(self, client: socket.socket, content: bytes, fault: Fault | None, *, done: int = 0) -> None:
        if not isinstance(fault, Slow):
            client.sendall(content)
            return
        free = max(0, fault.free - done)
        client.sendall(content[:free])
        for start in range(free, len(content), fault.piece):
            client.sendall(content[start : start + fault.piece])
            if self._hold(client, seconds=fault.piece / fault.bytes_per_second):
                raise ConnectionError

    def _readable(self, server: socket.socket, client: socket.socket) -> bool:
        """Wait for the server's next bytes; False if the client has left or the proxy ends."""
        while not self._stopping.is_set():
            ready, _, _ = select.select([server, client], [], [], _TICK_SECONDS * 5)
            if client in ready and not client.recv(1, socket.MSG_PEEK):
                return False
            if server in ready:
                return True
        return False

    def _hold(self, client: socket.socket, *, seconds: float = 3600.0, until: threading.Event | None = None) -> bool:
        """Do nothing until the time is over; True where the client left (or the proxy ends) before."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not (until is not None and until.is_set()):
            wait = max(0.0, min(_TICK_SECONDS * 5, ends - time.monotonic()))
            ready, _, _ = select.select([client], [], [], _TICK_SECONDS if until is not None else wait)
            if self._stopping.is_set() or (ready and not client.recv(1, socket.MSG_PEEK)):
                return True
        return False


def _room(fault: Fault | None, done: int) -> int | None:
    limit = fault.body if isinstance(fault, Cut | Stall) else None
    return None if limit is None else max(0, limit - done)


def _end(client: socket.socket, *, reset: bool) -> None:
    if reset:
        # Closed with what is unsent thrown away: the peer gets RST, not FIN.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


__all__ = [
    "Canned",
    "Cut",
    "Edit",
    "Fault",
    "FaultProxy",
    "Latency",
    "Pause",
    "Seen",
    "Silence",
    "Slow",
    "Stall",
    "answer",
    "edit_json",
]
