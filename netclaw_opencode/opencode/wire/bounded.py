"""A stream of events without a giant in it.

Owns the cutting of an event that grows beyond its limit, before anything collects it. What is cut is no JSON any more, so
that its reader passes it by; the events after it are whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

_BREAKS = (b"\n", b"\r\n", b"\r")


class BoundedEvents(httpx.AsyncByteStream):
    """The bytes of a server-sent stream; of one event (up to its blank line) at most ``limit_bytes`` come through."""

    def __init__(self, stream: object, *, limit_bytes: int) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("a stream that is read by async for")
        self._stream = stream
        self._limit = limit_bytes
        self._size = 0
        self._line_is_new = True
        self._last = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield self.cut(chunk)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def cut(self, chunk: bytes) -> bytes:
        """Return the chunk without what is too much."""
        kept: list[bytes] = []
        for piece in chunk.splitlines(keepends=True):
            is_rest_of_break = self._last == b"\r" and piece == b"\n"
            if self._line_is_new and piece in _BREAKS and not is_rest_of_break:
                self._size = 0
            text = piece.rstrip(b"\r\n")
            kept.append(text[: max(0, self._limit - self._size)] + piece[len(text) :])
            self._size += len(text)
            self._line_is_new = len(text) < len(piece)
            self._last = piece[-1:]
        return b"".join(kept)


__all__ = ["BoundedEvents"]
