"""One request at a time over HTTP: limits on time and size, one retry rule, and every failure as our own error.

Owns the httpx client (no proxies from the environment, no redirects, no compressed answers) and the mapping of
transport and status errors. It must not decide what an answer means for a turn.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import NoReturn

import anyio
import httpx

from netclaw_opencode._core import strict_json, time_budget
from netclaw_opencode._core.redaction import redact
from netclaw_opencode.errors import ActionFailed, DriverError, InvalidInput, OutOfTime, ServerProblem
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.wire.admission import Admission, directory_of
from netclaw_opencode.opencode.wire.bounded import BoundedEvents
from netclaw_opencode.opencode.wire.exchange import Exchange
from netclaw_opencode.opencode.wire.routes import Route
from netclaw_opencode.records.recorder import NO_RECORD, Recorder

_SAFE_TRIES = 3
_CONNECT_SECONDS = 3.0
_UNCALLED_SECONDS = 60.0
"""Time limit of a request that belongs to no call of an action (tests, scripts), in seconds."""
_CLOCK_RESOLUTION_MS = 2000
"""The Date header counts whole seconds, and travels: a smaller difference of two clocks cannot be seen."""
_ID = re.compile(r"[0-9A-Za-z_]{1,80}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The JSON of an answer, its size in bytes, and the cursor of the next older page if there is one."""

    content: object
    size: int = 0
    next_cursor: str | None = None


class HttpClient:
    """Requests to one OpenCode server.

    ``transport`` is the seam for tests of faults that no real server shows. Use as an async context manager.
    """

    def __init__(
        self,
        *,
        url: str,
        username: str,
        password: str | None,
        transport: httpx.AsyncBaseTransport | None = None,
        record: Recorder = NO_RECORD,
        admit: Callable[[str], None] | None = None,
        own_directory: str | None = None,
    ) -> None:
        self.url = url
        self.clock_offset_ms = 0
        """How far the server's clock is ahead of ours, in milliseconds; 0 if they agree within two seconds."""
        self._admission = None if admit is None else Admission(admit, self._directory_of, own_directory=own_directory)
        self._record = record
        self._client = httpx.AsyncClient(
            base_url=url,
            auth=httpx.BasicAuth(username, password) if password is not None else None,
            headers={"Accept-Encoding": "identity", "User-Agent": "netclaw-opencode"},
            # Reading the trust store takes longer than a request; plain http has no use for it.
            verify=url.startswith("https:"),
            # A proxy of the environment would be used for loopback too (F53).
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
            transport=transport,
        )

    async def __aenter__(self) -> HttpClient:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def call(
        self,
        route: Route,
        *,
        ids: Mapping[str, str] | None = None,
        directory: str | None = None,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        limit_seconds: float | None = None,
    ) -> object:
        """Make one request and return its JSON (None for 204).

        Args:
            route: What is called.
            ids: Fill the route's path; they must have been checked (``ids.check_id``).
            directory: The scope that most routes need (F20).
            query: Further query parameters.
            body: The JSON that is sent.
            limit_seconds: A shorter limit than that of the running call, from connect to last byte.

        Raises:
            ServerProblem: There is no OpenCode server that answers as one.
            OutOfTime: ``request_timeout``.
            ActionFailed: The answer cannot be used.
        """
        return (await self._call(route, ids=ids, directory=directory, query=query, body=body, limit_seconds=limit_seconds)).content

    async def page(
        self,
        route: Route,
        *,
        ids: Mapping[str, str],
        directory: str,
        limit: int,
        before: str | None = None,
        limit_seconds: float | None = None,
    ) -> Answer:
        """Read one page of a list, the newest page first (F56).

        Args:
            limit: Number of entries at most.
            before: The cursor of an earlier page; None for the newest.
            limit_seconds: As for ``call``.
        """
        query = {"limit": str(limit), **({"before": before} if before is not None else {})}
        return await self._call(route, ids=ids, directory=directory, query=query, body=None, limit_seconds=limit_seconds)

    def server_time_ms(self) -> int:
        """Return the server's clock, as far as its answers show it, in epoch milliseconds."""
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    async def _call(
        self,
        route: Route,
        *,
        ids: Mapping[str, str] | None,
        directory: str | None,
        query: Mapping[str, str] | None,
        body: JsonObject | None,
        limit_seconds: float | None,
    ) -> Answer:
        path = _path(route, ids or {})
        if self._admission is not None:
            await self._admission.require(route, ids or {}, directory)
        params = {**(query or {}), **({"directory": directory} if directory is not None else {})}
        limit = time_budget.remaining_up_to(
            min(each for each in (route.limit_seconds, limit_seconds, time_budget.remaining(_UNCALLED_SECONDS)) if each is not None)
        )
        # Less than the whole limit, so that "nothing accepts" differs from "accepted and silent" (F2).
        connect = min(_CONNECT_SECONDS, 0.9 * limit)
        request = self._request(route, path, params, body, connect_seconds=connect)
        exchange = Exchange(self._record, route, path, sent=len(request.content), ids=ids or {})
        with exchange.note_when_done():
            try:
                with anyio.fail_after(limit):
                    return await self._send_with_retries(route, request, exchange, connect_seconds=connect)
            except TimeoutError as error:
                raise OutOfTime(
                    "request_timeout",
                    f"{route.method} {route.path} took longer than {limit:g} s",
                    details={"route": route.name, "limit_seconds": limit},
                ) from error

    async def _directory_of(self, session_id: str) -> str | None:
        return await directory_of(self.call, session_id)

    def _request(
        self, route: Route, path: str, params: Mapping[str, str], body: JsonObject | None, *, connect_seconds: float
    ) -> httpx.Request:
        # As the client would build it, but parsed once: merging addresses takes a quarter of a request's time.
        query = f"?{httpx.QueryParams(params)}" if params else ""
        timeout = httpx.Timeout(None, connect=connect_seconds)
        url = f"{self.url.rstrip('/')}{path}{query}"
        return httpx.Request(route.method, url, headers=self._client.headers, json=body, extensions={"timeout": timeout.as_dict()})

    async def _send_with_retries(self, route: Route, request: httpx.Request, exchange: Exchange, *, connect_seconds: float) -> Answer:
        for tries_left in reversed(range(_SAFE_TRIES)):
            exchange.tries += 1
            try:
                return await self._send_once(route, request, exchange)
            except httpx.ConnectError as error:
                raise self._unreachable(error) from error
            except httpx.ConnectTimeout as error:
                raise ServerProblem(
                    "server_unreachable", f"no answer from {self.url} within {connect_seconds:g} s", details={"reason": "timeout"}
                ) from error
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
                if route.retry != "safe" or tries_left == 0:
                    _raise_connection_lost(route, error)
            except (httpx.DecodingError, httpx.HTTPError) as error:
                raise ActionFailed("bad_response", f"{route.method} {route.path}: {_reason(error)}") from error
            await anyio.sleep(random.uniform(0, 0.05))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    def _unreachable(self, error: httpx.ConnectError) -> ServerProblem:
        # Refused on this machine: the kernel says that nothing listens there any more.
        reason = "refused" if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)) else "unreachable"
        return ServerProblem("server_unreachable", f"nothing answers at {self.url} ({_reason(error)})", details={"reason": reason})

    def _note_clock(self, date: str | None) -> None:
        try:
            stated = parsedate_to_datetime(date or "").timestamp() * 1000
        except ValueError:
            return
        offset = int(stated - time.time() * 1000)
        self.clock_offset_ms = offset if abs(offset) > _CLOCK_RESOLUTION_MS else 0

    async def _send_once(self, route: Route, request: httpx.Request, exchange: Exchange) -> Answer:
        if self._client.is_closed:
            raise ActionFailed("connection_lost", f"{route.method} {route.path}: the connection to {self.url} was closed meanwhile")
        response = await self._client.send(request, stream=True)
        exchange.status = response.status_code
        try:
            content = await _read(response, route)
        finally:
            await response.aclose()
        exchange.received = len(content)
        self._note_clock(response.headers.get("date"))
        if response.status_code == 204:
            return Answer(None)
        if response.status_code >= 300:
            _raise_status(route, response.status_code, content)
        # Unknown routes answer 200 with the web page (F38): a 200 proves nothing by itself.
        if not response.headers.get("content-type", "").startswith("application/json"):
            raise ServerProblem(
                "not_opencode",
                f"{self.url} answers {route.method} {route.path} with {response.headers.get('content-type', 'no content type')}, "
                "not JSON: it is not an OpenCode server, or not one that knows this route",
                details={"names_opencode": b"opencode" in content[:65536].lower()},
            )
        return Answer(parse_json(content, route), len(content), response.headers.get("x-next-cursor"))

    @asynccontextmanager
    async def stream_events(self, route: Route) -> AsyncIterator[AsyncIterator[str]]:
        """Open the event stream; yields an iterator over the data of each event. Transport errors become ours."""
        from httpx_sse import SSEError, aconnect_sse

        try:
            async with aconnect_sse(self._client, route.method, route.path) as source:
                if source.response.status_code >= 300:
                    _raise_status(route, source.response.status_code, b"")
                _require_plain(source.response, route)
                source.response.stream = BoundedEvents(source.response.stream, limit_bytes=route.limit_bytes)
                yield (item.data async for item in source.aiter_sse())
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except (httpx.HTTPError, SSEError) as error:
            raise ActionFailed("connection_lost", f"the event stream broke: {_reason(error)}") from error


def _path(route: Route, ids: Mapping[str, str]) -> str:
    """Return the route's path with its ids; what is no id never comes near a URL, whatever let it through (F48)."""
    for name, value in ids.items():
        if not _ID.fullmatch(value):
            raise ActionFailed("bad_response", f"{route.method} {route.path}: {name} {value[:60]!r} is not an id")
    return route.path.format_map(ids)


def parse_json(content: bytes | bytearray, route: Route) -> object:
    """Parse strictly: no NaN, no key twice, no endless nesting.

    Raises:
        ActionFailed: ``bad_response``.
    """
    try:
        return strict_json.parse(content)
    except ValueError as error:
        raise ActionFailed("bad_response", f"{route.method} {route.path}: the answer is not valid JSON ({_reason(error)})") from error


def _require_plain(response: httpx.Response, route: Route) -> None:
    """A small compressed answer can hold a huge one (F53)."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ActionFailed("bad_response", f"{route.method} {route.path}: compressed answer although none was asked for")


async def _read(response: httpx.Response, route: Route) -> bytearray:
    _require_plain(response, route)
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > route.limit_bytes:
            raise ActionFailed(
                "response_too_large",
                f"{route.method} {route.path}: the answer exceeds {route.limit_bytes} bytes",
                details={"route": route.name, "limit_bytes": route.limit_bytes},
            )
    return content


def _raise_status(route: Route, status: int, content: bytes | bytearray) -> NoReturn:
    where = f"{route.method} {route.path}"
    # A broken configuration comes back with its whole text, keys included.
    text = sanitize(redact(_error_text(content)))
    if status == 401:
        raise ServerProblem("auth_failed", "the server refused the user name or password (401)")
    if "ConfigJsonError" in text or "ConfigInvalidError" in text:
        raise ServerProblem("config_error", f"the server's configuration is broken: {text}")
    if 300 <= status < 400:
        raise ActionFailed("bad_response", f"{where}: the server redirects ({status}); redirects are not followed")
    if status == 404:
        raise HttpNotFoundError(f"{where}: not found")
    if status == 400:
        raise InvalidInput("invalid_input", f"{where}: the server refused the request: {text}")
    raise ActionFailed("bad_response", f"{where}: the server answered {status}: {text}", details={"status": status})


class HttpNotFoundError(DriverError):
    """404; callers turn it into the error that fits what was asked for."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_response", message)


def _raise_connection_lost(route: Route, error: Exception) -> NoReturn:
    if isinstance(error, httpx.RemoteProtocolError) and "illegal" in str(error).lower():
        raise ServerProblem("not_opencode", f"what answers does not speak HTTP ({_reason(error)})") from error
    raise ActionFailed("connection_lost", f"{route.method} {route.path}: the connection broke ({_reason(error)})") from error


def _error_text(content: bytes | bytearray) -> str:
    """Return the text of either of the server's error shapes (F14), or the start of whatever it sent."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return content[:200].decode("utf-8", "replace")
    return json.dumps(found, ensure_ascii=False)


def sanitize(text: str, *, limit: int = 400) -> str:
    """Make foreign text harmless for one line of a message: shortened to ``limit`` characters, without control characters."""
    cleaned = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(cleaned.split())[:limit]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return the error and what it was raised from, group members included."""
    yield error
    for inner in (error.__cause__, error.__context__, *(error.exceptions if isinstance(error, BaseExceptionGroup) else ())):
        if inner is not None:
            yield from _causes(inner)


def _reason(error: Exception) -> str:
    return sanitize(str(error) or type(error).__name__, limit=160)
