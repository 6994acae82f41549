"""The event stream's bytes: cut into pieces anywhere, they are the same events."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator

import anyio
import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.opencode.wire import reading, routes
from netclaw_opencode.opencode.wire.bounded import BoundedEvents
from netclaw_opencode.opencode.wire.http import HttpClient
from netclaw_opencode.opencode.wire.types import ServerEvent

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PAYLOADS = st.builds(
    lambda kind, directory, text: {"directory": directory, "payload": {"type": kind, "properties": {"sessionID": "ses_1", "text": text}}},
    st.sampled_from(["server.connected", "session.idle", "message.part.delta", "sync"]),
    st.sampled_from(["/d", "/ünïcode"]),
    TEXTS,
)
BREAKS = st.sampled_from(["\n", "\r\n", "\r"])


def written(payloads: list[dict[str, object]], ends: str, *, ascii_only: bool, noise: bool) -> bytes:
    """The stream as a server may write it: any of the three line breaks, escaped or not, with comments and ids between."""
    between = f": a comment{ends}id: 7{ends}" if noise else ""
    return "".join(f"{between}data: {json.dumps(item, ensure_ascii=ascii_only)}{ends}{ends}" for item in payloads).encode()


class Pieces(httpx.AsyncByteStream):
    """Bytes that arrive cut at these places."""

    def __init__(self, whole: bytes, cuts: list[int]) -> None:
        places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
        self.pieces = [whole[start:end] for start, end in itertools.pairwise(places)]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def read(stream: Pieces) -> list[ServerEvent | None]:
    """The events, through the client's own way from the wire to them."""

    async def run() -> list[ServerEvent | None]:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=stream, headers={"content-type": "text/event-stream"}))
        async with (
            HttpClient(url="http://127.0.0.1:4096", username="u", password=None, transport=transport) as client,
            client.stream_events(routes.EVENTS) as items,
        ):
            return [reading.event(json.loads(text)) async for text in items]

    return anyio.run(run)


@settings(deadline=None, max_examples=60)
@given(st.lists(PAYLOADS, max_size=4), BREAKS, st.booleans(), st.booleans(), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_gives_the_same_events(
    payloads: list[dict[str, object]], ends: str, ascii_only: bool, noise: bool, cuts: list[int]
) -> None:
    """In the middle of a line break, of a character or of a field's name; what was sent comes out, whole and in order."""
    whole = written(payloads, ends, ascii_only=ascii_only, noise=noise)
    assert read(Pieces(whole, cuts)) == [reading.event(item) for item in payloads]


def test_every_byte_alone_is_the_same_stream() -> None:
    """The finest cut that there is, for each line break."""
    payloads: list[dict[str, object]] = [{"payload": {"type": "session.idle", "properties": {"text": "grüße 🎈"}}}] * 2
    for ends in ("\n", "\r\n", "\r"):
        whole = written(payloads, ends, ascii_only=False, noise=True)
        assert read(Pieces(whole, list(range(len(whole))))) == [reading.event(item) for item in payloads]


BITS = [b"data: 12345", b"ab", b"\n", b"\n\n", b"\r\n", b"\r", b"\r\n\r\n", "ü".encode(), b"\x0b", b"\x85"]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(BITS), max_size=14), st.integers(1, 12), st.lists(st.integers(0, 200), max_size=14))
def test_a_giant_is_cut_at_the_same_byte_however_it_arrives(parts: list[bytes], limit: int, cuts: list[int]) -> None:
    """What comes through of an event that is too large does not depend on the pieces that it came in."""
    whole = b"".join(parts)
    in_pieces = BoundedEvents(httpx.ByteStream(b""), limit_bytes=limit)
    at_once = BoundedEvents(httpx.ByteStream(b""), limit_bytes=limit)
    assert b"".join(in_pieces.cut(piece) for piece in Pieces(whole, cuts).pieces) == at_once.cut(whole)
