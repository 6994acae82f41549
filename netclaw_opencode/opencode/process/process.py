"""A server process: started, proved to be ours, ended with everything below it.

Owns spawning and signalling. A pid is signalled only when its start ticks and command line fit the record; readiness is
probed by whoever can speak HTTP (the driver), through the callable that is handed in.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.opencode.process.identity import ProcessIdentity

TERM_SECONDS = 5.0
_KILL_SECONDS = 3.0
_PROBE_PAUSE_SECONDS = 0.05
_END_PAUSE_SECONDS = 0.02
_PORT_SECONDS = 1.0
"""How long a port that is taken is looked at again: an ended server of many threads lets go of its own after some milliseconds."""
_LISTENING = re.compile(rb"listening on (http://\S+)")
_TAIL_BYTES = 8 * 1024

# No TMPDIR: a server outlives the call that starts it, and hosts give a call one of its own that goes with it.
_ENVIRONMENT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TERM"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
        *("SYSTEMROOT", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "TEMP", "TMP", "PATHEXT"),
    }
)
_ENVIRONMENT_PREFIXES = ("LC_", "XDG_", "OPENCODE_", "AWS_", "AZURE_", "GOOGLE_", "ANTHROPIC_", "OPENAI_", "VERTEX_", "GIT_")
_ENVIRONMENT_SUFFIXES = ("_API_KEY", "_API_TOKEN", "_PROXY", "_proxy")


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process of ours that became ready."""

    url: str
    process: ProcessIdentity


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server was ended: the last signal, how many processes with it, and how many would not go."""

    signal: str | None
    processes_ended: int
    processes_left: int


def url_of(port: int) -> str:
    """The base URL of a server of ours."""
    return f"http://127.0.0.1:{port}"


def server_environment(environ: Mapping[str, str], *, extra: Sequence[str] = (), password: str) -> dict[str, str]:
    """What a server of ours may see: the system's basics, the providers' own variables, and ``extra`` by name."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _ENVIRONMENT or name in extra or name.startswith(_ENVIRONMENT_PREFIXES) or name.endswith(_ENVIRONMENT_SUFFIXES)
    }
    kept = {name: value for name, value in kept.items() if not name.startswith("OPENCODE_DRIVER_")}
    kept.pop("OPENCODE_API_URL", None)
    return kept | {"OPENCODE_SERVER_PASSWORD": password}


async def spawn(
    binary: str,
    *,
    port: int,
    environment: Mapping[str, str],
    directory: str,
    log_file: Path,
    within_seconds: float,
    ready: Callable[[str], Awaitable[bool]],
    started: Callable[[Spawned], None] = lambda _: None,
    options: Sequence[str] = (),
) -> Spawned:
    """Start ``opencode serve`` on loopback and return once ``ready(url)`` holds and the port is proved to be its own.

    ``started`` is told of the process before it is ready.

    Raises ``ServerProblem``: ``server_start_failed`` (it ended; with the tail of its log),
    ``port_in_use``, ``server_not_ready``. Whatever was started is ended before an error, or a cancellation, goes on.
    """
    if not await _becomes_free(port):
        raise ServerProblem("port_in_use", f"port {port} on 127.0.0.1 belongs to another program", details={"port": port})
    with log_file.open("ab") as log:
        log_file.chmod(0o600)
        offset = log.tell()
        try:
            process = subprocess.Popen(
                [binary, "serve", *options, "--hostname", "127.0.0.1", "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=dict(environment),
                # A session of its own: the caller's Ctrl-C and closed pipes do not reach it.
                start_new_session=True,
                umask=0o077 if os.name == "posix" else -1,
            )
        except OSError as error:
            raise ServerProblem(
                "server_start_failed", f"{binary} cannot be started: {error.strerror}", details={"binary": binary}
            ) from error
    # Until it is waited for, an ended child keeps its pid and its start ticks.
    server = identity.of_process(process.pid)
    try:
        started(Spawned(url_of(port), server))
        with anyio.move_on_after(within_seconds):
            url = await _become_ready(process, log_file, offset, port, ready)
            return Spawned(url, server)
        raise ServerProblem(
            "server_not_ready", f"the server did not become ready within {within_seconds:g} s", details={"log_tail": tail(log_file, offset)}
        )
    except BaseException:
        with anyio.CancelScope(shield=True):
            await end(process.pid, server.start_ticks)
        raise
    finally:
        # It outlives this object, which would complain of that; whoever finds it ended reaps it.
        process.returncode = process.poll() or 0


async def _become_ready(
    process: subprocess.Popen[bytes], log_file: Path, offset: int, port: int, ready: Callable[[str], Awaitable[bool]]
) -> str:
    while True:
        code = process.poll()
        if code is not None:
            text = tail(log_file, offset)
            if _taken(port):
                # The reason is not told by the server itself (F4).
                raise ServerProblem("port_in_use", f"port {port} on 127.0.0.1 was taken by another program", details={"port": port})
            raise ServerProblem(
                "server_start_failed",
                f"the server ended with exit code {code} while starting: {_last_line(text)}",
                details={"exit_code": code, "log_tail": text},
            )
        url = await anyio.to_thread.run_sync(_announced_url, log_file, offset)
        if url is not None and await ready(url) and _listens(process.pid, url):
            return url
        await anyio.sleep(_PROBE_PAUSE_SECONDS)


async def end(pid: int, start_ticks: int) -> Ended:
    """End a process and all below it: SIGTERM, then SIGKILL; tool children live in sessions of their own (F5).

    The caller has proved that the pid is ours (``driver.rules.own_process``); it is proved again by start ticks before
    each signal.
    """
    return await anyio.to_thread.run_sync(_end, pid, start_ticks)


def _end(pid: int, start_ticks: int) -> Ended:
    server = _process(pid, start_ticks)
    if server is None or pid in callers():
        return Ended(None, 0, 0)
    below = _children(server)
    signal = "SIGTERM"
    _signal(server, kill=False)
    if not _gone(server, time_budget.within(TERM_SECONDS, stopping=True)):
        signal = "SIGKILL"
        below = [*below, *(child for child in _children(server) if child not in below)]
        _signal(server, kill=True)
        _gone(server, time_budget.within(_KILL_SECONDS))
    for child in below:
        _signal(child, kill=True)
    until = time.monotonic() + time_budget.within(_KILL_SECONDS)
    left = sum(not _gone(item, until - time.monotonic()) for item in (server, *below))
    return Ended(signal, 1 + len(below) - left, left)


def kill(found: Sequence[psutil.Process]) -> None:
    """SIGKILL for each of these very processes, and a look at their end."""
    for item in found:
        _signal(item, kill=True)
    psutil.wait_procs(found, timeout=_KILL_SECONDS)


def _process(pid: int, start_ticks: int) -> psutil.Process | None:
    if pid <= 1:
        return None
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None
    return process if identity.start_ticks(pid) == start_ticks else None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, *, kill: bool) -> None:
    """Signal that very process, and never ourselves, what started us, or process 1."""
    if process.pid <= 1 or process.pid in callers():
        return
    try:
        with _pinned(process.pid) as handle:
            # Looked at again with the pid held: from here on it cannot become another process's.
            if not process.is_running():
                return
            if handle is None:
                (process.kill if kill else process.terminate)()
            else:
                signal.pidfd_send_signal(handle, signal.SIGKILL if kill else signal.SIGTERM)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return


@contextmanager
def _pinned(pid: int) -> Iterator[int | None]:
    """A handle on the process, on Linux; None where there is no such thing."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        yield None
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        if isinstance(error, ProcessLookupError):
            raise
        # Seccomp profiles and old kernels refuse the call.
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def callers() -> frozenset[int]:
    """Our own pid and those above it: nothing that is recorded may lead to their end."""
    us = psutil.Process()
    return frozenset({us.pid, *(item.pid for item in us.parents())})


def _gone(process: psutil.Process, within_seconds: float) -> bool:
    """Wait for the end. A zombie has ended: whoever adopted it may take seconds to say goodbye."""
    ends = time.monotonic() + within_seconds
    while not _ended(process):
        if time.monotonic() >= ends:
            return False
        time.sleep(_END_PAUSE_SECONDS)
    return True


def _ended(process: psutil.Process) -> bool:
    try:
        # For a child of ours this also reaps it.
        process.wait(0)
    except psutil.TimeoutExpired:
        try:
            return bool(process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True
    except psutil.NoSuchProcess:
        return True
    return True


def argv_of(pid: int) -> tuple[tuple[str, ...], int | None, bool]:
    """Command line, start ticks and "same user" of a process; empty where it is gone."""
    try:
        process = psutil.Process(max(pid, 0))
        same = os.name != "posix" or process.uids().real == os.getuid()
        return tuple(process.cmdline()), identity.start_ticks(process.pid), same
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return (), None, False


def is_alive(pid: int, start_ticks: int) -> bool:
    """Whether that very process, of our own PID namespace, still runs."""
    process = _process(pid, start_ticks)
    return process is not None and not _ended(process)


def ends(pid: int, start_ticks: int, *, within_seconds: float = 1.0) -> bool:
    """Whether that very process ends by itself within the time."""
    process = _process(pid, start_ticks)
    return process is None or _gone(process, within_seconds)


def _announced_url(log_file: Path, offset: int) -> str | None:
    with log_file.open("rb") as log:
        log.seek(offset)
        found = _LISTENING.search(log.read())
    return found.group(1).decode("ascii", "replace").rstrip("/") if found else None


def _listens(pid: int, url: str) -> bool:
    """Whether the port belongs to that very process, and not to a program that was faster."""
    try:
        port = urlsplit(url).port
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except (ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(item.status == psutil.CONN_LISTEN and item.laddr.port == port for item in sockets)


def listens_beyond_loopback(port: int) -> str | None:
    """An address other than loopback on which some process of this machine listens at that port; None where none is seen."""
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS tells only root
        return None
    for item in sockets:
        host, *at = item.laddr or ("",)
        if item.status == psutil.CONN_LISTEN and at == [port] and not ipaddress.ip_address(host).is_loopback:
            return f"{host}:{port}"
    return None


def accepts(port: int, *, within_seconds: float = 1.0) -> bool:
    """Whether something takes connections at that port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=within_seconds).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody had a moment ago; a faster program may take it, which ``spawn`` notices."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _becomes_free(port: int) -> bool:
    """Whether the port can be had now or in a moment: threads of a server that has just ended may still hold its socket."""
    ends = time.monotonic() + _PORT_SECONDS
    while _taken(port):
        if time.monotonic() >= ends:
            return False
        await anyio.sleep(_PROBE_PAUSE_SECONDS)
    return True


def _taken(port: int) -> bool:
    """Whether the port cannot be had: somebody listens there, or has it as the near end of a connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            # As servers do, so that a connection that has just ended is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def tail(log_file: Path, offset: int = 0) -> str:
    """The end of a log (at most 8 KiB from ``offset`` on), with credentials hidden."""
    from netclaw_opencode._core.redaction import redacted

    with log_file.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(offset, size - _TAIL_BYTES))
        return redacted(log.read().decode("utf-8", "replace"))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"


def working_directory(pid: int, start_ticks: int) -> str | None:
    """Where a process of ours works, or None where it cannot be seen."""
    found = _process(pid, start_ticks)
    if found is None:
        return None
    try:
        return found.cwd()
    except (psutil.Error, OSError):
        return None
