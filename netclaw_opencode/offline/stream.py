"""Streaming a step to one caller in the form of OpenAI chat completions.

Owns the bytes of an answer: HTTP head, chunked body, server-sent chunks, and the faults on that level. Does not choose
what to answer and does not accept connections.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping, Sequence
from http.client import responses

from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.steps import (
    CloseSocket,
    CutStream,
    Drip,
    Empty,
    Finish,
    Garbage,
    Gate,
    Hang,
    Html,
    Huge,
    Part,
    Reasoning,
    Status,
    Text,
    ToolCall,
    Usage,
)

_HUGE_PIECE = 64 * 1024


class CallerLeft(Exception):
    """The caller has closed the connection, or the answer ends it: nothing more can be sent."""


class Answer:
    """One answer on one connection.

    The caller's leaving ends every wait at once: the reader is watched while a part holds.
    """

    def __init__(self, reader: StreamReader, writer: StreamWriter, conversation: Conversation) -> None:
        self._writer = writer
        self._conversation = conversation
        self._left = asyncio.ensure_future(reader.read(1))
        self._head_sent = False
        self._tool_calls = 0
        self._sent_characters = 0
        self._usage: Usage | None = None
        self._reason: str | None = None

    async def send(self, parts: Sequence[Part]) -> None:
        """Send the parts in order and then the proper end, unless a part ends the answer another way."""
        try:
            for part in parts:
                if await self._part(part):
                    return
            await self._finish()
        finally:
            self._left.cancel()

    async def _part(self, part: Part) -> bool:
        """Send one part; true when the answer is over with it."""
        match part:
            case Text():
                await self._text(part)
            case Reasoning():
                await self._delta({"reasoning_content": part.text})
            case ToolCall():
                await self._hold(part.pause_seconds)
                await self._tool_call(part)
            case Usage():
                self._usage = part
            case Finish():
                self._reason = part.reason
            case Gate():
                await self._gate(part)
            case Huge():
                for start in range(0, part.size_bytes, _HUGE_PIECE):
                    await self._delta({"content": "x" * min(_HUGE_PIECE, part.size_bytes - start)})
            case Drip():
                await self._drip(part)
            case Empty():
                pass
            case _:
                await self._fault(part)
                return True
        return False

    async def _fault(self, part: Part) -> None:
        match part:
            case Hang():
                await self._hold(None)
            case Status():
                await self._status(part)
            case Html():
                await self._whole(200, part.body, {"content-type": "text/html; charset=utf-8"})
            case CloseSocket():
                self._writer.transport.abort()
                raise CallerLeft
            case Garbage():
                await self._raw(part.body)
                await self._end()
            case CutStream():
                await self._delta({"content": part.text})
                await self._end()
            case _:
                raise TypeError(f"not a part of an answer: {part!r}")

    async def _text(self, part: Text) -> None:
        size = max(1, part.piece_characters)
        for start in range(0, len(part.text), size):
            await self._delta({"content": part.text[start : start + size]})
            await self._hold(part.pause_seconds)

    async def _tool_call(self, part: ToolCall) -> None:
        arguments = json.dumps(_filled(part.arguments, self._conversation.directory or "."))
        call = {
            "index": self._tool_calls,
            "id": f"call_{self._conversation.step}_{self._tool_calls}",
            "type": "function",
            "function": {"name": part.name, "arguments": arguments},
        }
        self._tool_calls += 1
        await self._delta({"tool_calls": [call]})

    async def _drip(self, part: Drip) -> None:
        sent = 0
        while part.count is None or sent < part.count:
            await self._delta({"content": part.text})
            sent += 1
            await self._hold(part.interval_seconds)

    async def _gate(self, gate: Gate) -> None:
        await self._head()
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()
        if gate.arrive(lambda: _call_in(loop, opened)):
            waiting = asyncio.ensure_future(opened.wait())
            try:
                await asyncio.wait({waiting, self._left}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            self._check_caller()

    async def _hold(self, seconds: float | None) -> None:
        """Wait that long (``None``: without end), or until the caller leaves."""
        if seconds == 0:
            return
        await asyncio.wait({self._left}, timeout=seconds)
        self._check_caller()

    def _check_caller(self) -> None:
        if self._left.done():
            raise CallerLeft

    async def _finish(self) -> None:
        reason = self._reason or ("tool_calls" if self._tool_calls else "stop")
        await self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        await self._chunk({"choices": [], "usage": self._counted()})
        await self._raw("data: [DONE]\n\n")
        await self._end()

    def _counted(self) -> dict[str, object]:
        prompt_length = len(self._conversation.system) + len(self._conversation.prompt)
        usage = self._usage or Usage(prompt_length // 4 + 1, self._sent_characters // 4 + 1)
        return {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }

    async def _delta(self, delta: Mapping[str, object]) -> None:
        self._sent_characters += len(str(delta))
        await self._chunk({"choices": [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}]})

    async def _chunk(self, fields: Mapping[str, object]) -> None:
        head = {"id": "chatcmpl-offline", "object": "chat.completion.chunk", "created": 0}
        await self._raw(f"data: {json.dumps({**head, 'model': self._conversation.model, **fields})}\n\n")

    async def _head(self) -> None:
        if not self._head_sent:
            self._head_sent = True
            headers = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
            await self._write(http_head(200, headers))

    async def _raw(self, text: str) -> None:
        await self._head()
        payload = text.encode()
        await self._write(b"%x\r\n%s\r\n" % (len(payload), payload))

    async def _end(self) -> None:
        await self._write(b"0\r\n\r\n")

    async def _status(self, part: Status) -> None:
        headers = {"content-type": "application/json", **part.headers}
        if part.retry_after_seconds is not None:
            headers["retry-after"] = str(part.retry_after_seconds)
        body = part.body
        if body is None:
            message = f"offline model: scripted {part.code}"
            body = json.dumps({"error": {"message": message, "type": "scripted", "code": str(part.code)}})
        await self._whole(part.code, body, headers)

    async def _whole(self, code: int, body: str, headers: Mapping[str, str]) -> None:
        payload = body.encode()
        await self._write(http_head(code, {**headers, "content-length": str(len(payload))}) + payload)

    async def _write(self, data: bytes) -> None:
        self._check_caller()
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise CallerLeft from error


def http_head(code: int, headers: Mapping[str, str]) -> bytes:
    """The head of an answer; each connection serves one request, so open connections are calls that run."""
    phrase = responses.get(code, "Scripted")
    lines = [f"HTTP/1.1 {code} {phrase}", *(f"{name}: {value}" for name, value in headers.items()), "connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _call_in(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        # The model has been stopped and its loop closed: nobody holds at the gate any more.
        return


def _filled(value: object, directory: str) -> object:
    if isinstance(value, str):
        return value.replace("${directory}", directory)
    if isinstance(value, Mapping):
        return {key: _filled(item, directory) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, directory) for item in value]
    return value
