"""S16-S18: sizes, encodings and JSON. One byte too much is too much, and nothing too large is ever held."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netclaw_opencode.actions.arguments import PROMPT_BYTES
from netclaw_opencode.adapters.cli import files, values
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.opencode.process import spawning
from netclaw_opencode.opencode.wire import routes
from netclaw_opencode.opencode.wire.bounded import BoundedEvents
from netclaw_opencode.opencode.wire.http import HttpClient, parse_json
from netclaw_opencode.opencode.wire.routes import MIB, Route
from tests.support import answering

GROWTH = 32 * MIB
CAPS = {"control": (routes.SESSION_STATUS, 1 * MIB), "providers": (routes.ALL_PROVIDERS, 16 * MIB), "diff": (routes.SESSION_DIFF, 16 * MIB)}


def memory() -> int:
    """What this process holds now."""
    found: int = psutil.Process().memory_info().rss
    return found


def ids_of(route: Route) -> dict[str, str]:
    """An id for a route that needs one."""
    return {"session_id": "ses_00000000000000000000000000"} if "{" in route.path else {}


@pytest.mark.parametrize(("route", "cap"), CAPS.values(), ids=CAPS)
def test_s16_answer_one_byte_over_its_cap(route: Route, cap: int) -> None:
    """S16: the cap itself is read whole, one more is refused; only messages, read one page at a time, may be larger than 16 MiB."""
    assert {item.name for item in routes.ALL if item.limit_bytes > 16 * MIB} == {"messages", "message"}
    text = '"' + "x" * (cap - 2) + '"'
    assert answering.call(answering.answering(text=text), route, ids=ids_of(route)) == text[1:-1]
    error = answering.error_of(answering.answering(text=text + " "), route, ids=ids_of(route))
    assert error.code == "response_too_large" and error.details["limit_bytes"] == cap


def test_s16_endless_answer_is_not_held() -> None:
    """S16: given up at the cap, with the rest unread."""
    stream = answering.Endless(b"x" * 64 * 1024)
    before = memory()
    assert answering.error_of(answering.streaming(stream), routes.SESSION_STATUS).code == "response_too_large"
    assert stream.sent <= 18 and stream.closed and memory() - before < GROWTH


def test_s16_prompt_file_prompt_and_log_tail(tmp_path: Path) -> None:
    """S16: 1 MiB of prompt, 8 KiB of a server's last words; one byte over is refused, or cut off at the front."""
    assert files.MAX_BYTES == PROMPT_BYTES == MIB
    path = tmp_path / "p"
    path.write_bytes(b"x" * MIB)
    assert len(files.read_text(str(path), flag="--prompt-file")) == MIB
    path.write_bytes(b"x" * (MIB + 1))
    with pytest.raises(InvalidInput, match="1 MiB"):
        files.read_text(str(path), flag="--prompt-file")
    path.write_bytes(b"A" + b"x" * 8 * 1024)
    assert spawning.read_log_tail(path) == "x" * 8 * 1024


def test_s16_event_one_byte_over_its_cap() -> None:
    """S16: an event of 1 MiB comes whole; one byte more and it is cut, which is no JSON any more, and the next one is whole."""
    cap = routes.EVENTS.limit_bytes
    assert cap == MIB
    fits, over = b"data: " + b"x" * (cap - 6), b"data: " + b"y" * (cap - 5)
    stream = BoundedEvents(httpx.ByteStream(b""), limit_bytes=cap)
    assert stream.cut(fits + b"\n\n") == fits + b"\n\n"
    assert stream.cut(over + b"\n\n") == over[:-1] + b"\n\n"
    assert stream.cut(b"data: z\n\n") == b"data: z\n\n"


@given(
    st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\x00", b"\n").replace(b"\x01", b"\r")), max_size=12), st.integers(1, 40)
)
def test_s16_events_are_bounded_however_they_are_cut_into_pieces(chunks: list[bytes], cap: int) -> None:
    """S16: no event keeps more than the cap, whatever the chunks; what is below it comes through unchanged."""
    stream = BoundedEvents(httpx.ByteStream(b""), limit_bytes=cap)
    out = b"".join(stream.cut(chunk) for chunk in chunks)
    whole = b"".join(chunks)
    assert out.count(b"\n") == whole.count(b"\n") and out.count(b"\r") == whole.count(b"\r")
    if len(whole) <= cap:
        assert out == whole
    for event in out.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        assert len(event.replace(b"\n", b"")) <= cap


class Giant(httpx.AsyncByteStream):
    """One event of 100 MiB in one line, and a small one after it."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(1600):
            await anyio.lowlevel.checkpoint()
            yield b"x" * 64 * 1024
        yield b"\n\ndata: small\n\n"


def events_of(stream: httpx.AsyncByteStream, **headers: str) -> list[str]:
    """The data of the events of such a stream, as the client gives them."""

    async def run() -> list[str]:
        server = answering.Server(lambda _: httpx.Response(200, stream=stream, headers={"content-type": "text/event-stream", **headers}))
        async with (
            HttpClient(url=answering.URL, username="u", password="p", transport=httpx.MockTransport(server)) as client,
            client.stream_events(routes.EVENTS) as events,
        ):
            return [data async for data in events]

    return anyio.run(run)


def test_s16_giant_event_is_not_held() -> None:
    """S16: 100 MiB in one line cost a small part of that, and the stream goes on behind it."""
    before = memory()
    assert events_of(Giant())[-1] == "small"
    assert memory() - before < GROWTH


BOMB = gzip.compress(b"[" + b" " * 200 * MIB + b"]", compresslevel=9)
ENCODINGS = {
    "gzip": BOMB,
    "deflate": zlib.compress(b" " * MIB),
    "br": b"\x8b\x02\x80hello\x03",
    "zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "gzip, gzip": gzip.compress(BOMB),
    "identity, gzip": BOMB,
    "GZIP": BOMB,
    "x-gzip": BOMB,
    "nonsense": b"{}",
}


def encoded(content: bytes, encoding: str) -> answering.Server:
    """A server that answers with this content, in this encoding."""
    headers = {"content-type": "application/json", "content-encoding": encoding}
    return answering.Server(lambda _: answering.response(200, content, headers))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_s17_compressed_answer_is_refused(encoding: str) -> None:
    """S17: identity is asked for, and anything else is refused unread, for answers as for events; a bomb of 200 MiB stays shut."""
    server = encoded(ENCODINGS[encoding], encoding)
    before = memory()
    error = answering.error_of(server)
    assert error.code == "bad_response" and "compressed" in error.message
    assert server.requests[0].headers["accept-encoding"] == "identity"
    with pytest.raises(DriverError, match="compressed"):
        events_of(answering.Whole(ENCODINGS[encoding]), **{"content-encoding": encoding})
    assert memory() - before < GROWTH


DEEP = "[" * 5_000 + "]" * 5_000
BAD_JSON: dict[str, str | bytes] = {
    "deep lists": DEEP,
    "deep objects": '{"a":' * 5_000 + "1" + "}" * 5_000,
    "deeper than the recursion": "[" * 200_000 + "]" * 200_000,
    "a little too deep": "[" * 101 + "]" * 101,
    "NaN": '{"a": NaN}',
    "infinity": "[Infinity]",
    "minus infinity": "[-Infinity]",
    "a key twice": '{"id": 1, "id": 2}',
    "a key twice, below": '[{"x": {"id": 1, "id": 2}}]',
    "a million digits": "9" * 1_000_000,
    "no UTF-8": b'"\xff"',
    "cut": '{"a": ',
    "empty": "",
    "two": "{} {}",
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_s18_answer_that_is_no_json_of_ours(name: str) -> None:
    """S18: bad_response in one short line, without a traceback, a RecursionError or a second of work."""
    error = answering.error_of(answering.answering(text=BAD_JSON[name]))
    assert error.code == "bad_response" and len(error.message) < 300 and error.message.isprintable()


def test_s18_what_is_allowed_comes_through() -> None:
    """S18: a hundred levels, large whole numbers and small ones are JSON like any other."""
    text = "[" * 100 + "]" * 100
    assert json.dumps(parse_json(text.encode(), routes.PATH)) == text
    assert parse_json(b'{"a": 123456789012345678901234567890}', routes.PATH) == {"a": 123456789012345678901234567890}


@pytest.mark.parametrize("name", [name for name in BAD_JSON if name not in ("no UTF-8", "a little too deep")])
def test_s18_flag_that_is_no_json(name: str) -> None:
    """S18: the same strictness for JSON that a caller types."""
    with pytest.raises(InvalidInput) as caught:
        values.parse_json(str(BAD_JSON[name]), flag="--output-schema")
    assert len(caught.value.message) < 300
