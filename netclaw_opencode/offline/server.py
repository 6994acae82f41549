"""The offline model's server: accepts model calls on loopback, records them, answers by a script.

Owns the sockets and the one thread behind them. Does not know what an answer looks like on the wire (``stream``) nor
which one is chosen (``script``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from netclaw_opencode.offline.config import MODELS, provider_config
from netclaw_opencode.offline.conversation import Conversation, messages_of, read_conversation
from netclaw_opencode.offline.script import Reply, Script
from netclaw_opencode.offline.steps import Gate, Part, Status, parts_of
from netclaw_opencode.offline.stream import Answer, CallerLeft, http_head

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_KEPT_CALLS = 10_000
_MAX_BODY_BYTES = 256 * 1024 * 1024
_NOT_RECORDED = frozenset({"authorization"})


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One recorded request; ``at`` is seconds of ``time.monotonic``."""

    has_tools: bool
    messages: Sequence[Mapping[str, object]] = field(repr=False)
    model: str
    body: Mapping[str, object] = field(repr=False)
    at: float
    headers: Mapping[str, str] = field(repr=False)
    conversation: Conversation


class OfflineModel:
    """A scripted OpenAI-compatible model on loopback; a context manager, or ``start`` and ``stop``.

    ``stop`` is safe to repeat, ends every running answer at once and leaves no thread and no socket.
    """

    def __init__(self, script: Script | None = None) -> None:
        self.script = script if script is not None else Script()
        self._calls: deque[ModelCall] = deque(maxlen=_KEPT_CALLS)
        self._call_count = 0
        self._seen: Counter[bytes] = Counter()
        self._gates: dict[str, Gate] = {}
        self._changed = threading.Condition()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._port = 0

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen on a free loopback port; returns when calls can come."""
        if self._thread is not None:
            raise RuntimeError("the offline model is already started")
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="offline-model", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_SECONDS) or self._failure is not None:
            self.stop()
            raise RuntimeError("the offline model could not listen on loopback") from self._failure
        return self

    def stop(self) -> None:
        """End every running answer, close the socket and wait for the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None and thread.is_alive():
            loop.call_soon_threadsafe(stopping.set)
        thread.join(_STOP_SECONDS)
        if thread.is_alive():
            raise RuntimeError(f"the offline model's thread did not end within {_STOP_SECONDS:g} s")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # --- what a test or a demo uses -----------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The address for an OpenAI-compatible client, ``/v1`` included."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        """The recorded model calls in the order of their arrival (the newest 10,000)."""
        with self._changed:
            return tuple(self._calls)

    @property
    def call_count(self) -> int:
        """How many model calls have come since the start."""
        return self._call_count

    @property
    def open_connections(self) -> int:
        """How many connections are open now; each one is a call that is being answered."""
        return len(self._connections)

    def calls_with(self, text: str) -> tuple[ModelCall, ...]:
        """The recorded main calls (with tools) whose prompt holds ``text``."""
        return tuple(call for call in self.calls if call.has_tools and text in call.conversation.prompt)

    def wait_until(self, condition: Callable[[OfflineModel], object], timeout: float) -> bool:
        """Wait at most ``timeout`` seconds until the condition holds; it is asked again after every change."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(self), timeout))

    def when(self, text: str, *steps: Reply) -> None:
        """Answer turns whose prompt holds ``text`` by these steps (see ``Script.when``)."""
        self.script.when(text, *steps)

    def gate(self, name: str) -> Gate:
        """The gate of that name, made at first use."""
        with self._changed:
            return self._gates.setdefault(name, Gate(name))

    def clear(self) -> None:
        """Open and forget every gate, forget every rule and every recorded call."""
        with self._changed:
            gates, self._gates = list(self._gates.values()), {}
            self._calls.clear()
            self._seen.clear()
        for gate in gates:
            gate.open()
        self.script.clear()

    def provider_config(self, *, model: str = "scripted", **more: object) -> dict[str, object]:
        """The OpenCode configuration with this model as its only provider (F9); ``more`` is added at the top level."""
        return provider_config(self.base_url, model=model, **more)

    # --- the server's thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1024 * 1024, backlog=512)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        running = list(self._connections)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - a stream callback always runs in a task
            return
        self._note(lambda: self._connections.add(task))
        try:
            await self._one_request(reader, writer)
            await _close(writer)
        except (CallerLeft, ConnectionError, EOFError, ValueError, asyncio.LimitOverrunError):
            # The caller went away or did not speak HTTP: the connection is simply dropped.
            writer.transport.abort()
        except asyncio.CancelledError:
            # Only stop() cancels; ending here, not re-raising, keeps asyncio from logging it as an error.
            writer.transport.abort()
        finally:
            self._note(lambda: self._connections.discard(task))

    def _note(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    async def _one_request(self, reader: StreamReader, writer: StreamWriter) -> None:
        method, path, headers = await _read_head(reader)
        payload = await _read_body(reader, headers)
        if method == "GET" and path == "/v1/models":
            models = [{"id": name, "object": "model"} for name in MODELS]
            await _json(writer, 200, {"object": "list", "data": models})
        elif method == "POST" and path == "/v1/chat/completions":
            body = json.loads(payload)
            if not isinstance(body, dict) or body.get("stream") is not True:
                message = "the offline model only streams: send a JSON object with stream true"
                await _json(writer, 400, {"error": {"message": message}})
                return
            await self._chat(reader, writer, headers, body)
        else:
            await _json(writer, 404, {"error": {"message": f"the offline model has no {method} {path}"}})

    async def _chat(self, reader: StreamReader, writer: StreamWriter, headers: Mapping[str, str], body: Mapping[str, object]) -> None:
        session_id = headers.get("x-session-id")
        mark = hashlib.blake2b(f"{session_id}{json.dumps(body, sort_keys=True)}".encode()).digest()
        conversation = read_conversation(body, attempt=self._seen[mark], session_id=session_id)
        call = ModelCall(
            has_tools=bool(conversation.tool_names),
            messages=messages_of(body),
            model=conversation.model,
            body=body,
            at=time.monotonic(),
            headers={name: value for name, value in headers.items() if name not in _NOT_RECORDED},
            conversation=conversation,
        )
        self._note(lambda: self._record(call, mark))
        await Answer(reader, writer, conversation).send(self._parts_for(conversation))

    def _parts_for(self, conversation: Conversation) -> Sequence[Part]:
        try:
            return parts_of(self.script.step_for(conversation), attempt=conversation.attempt)
        except Exception as error:  # noqa: BLE001 - a script is its user's code: its error becomes the model's answer
            message = f"the script failed: {type(error).__name__}: {error}"
            # 400 and not 500: OpenCode repeats a 500 for ever (F17), and nobody would see the message.
            return (Status(400, body=json.dumps({"error": {"message": message}})),)

    def _record(self, call: ModelCall, mark: bytes) -> None:
        self._seen[mark] += 1
        self._call_count += 1
        self._calls.append(call)


async def _read_head(reader: StreamReader) -> tuple[str, str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:] if line)
    return method, target.partition("?")[0], {name.strip().lower(): value.strip() for name, _colon, value in pairs}


async def _read_body(reader: StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(_checked_size(int(headers.get("content-length", "0"))))
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(_checked_size(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


def _checked_size(size: int) -> int:
    if not 0 <= size <= _MAX_BODY_BYTES:
        raise ValueError(f"a body of {size} bytes")
    return size


async def _json(writer: StreamWriter, code: int, value: object) -> None:
    payload = json.dumps(value).encode()
    writer.write(http_head(code, {"content-type": "application/json", "content-length": str(len(payload))}) + payload)
    await writer.drain()


async def _close(writer: StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()
