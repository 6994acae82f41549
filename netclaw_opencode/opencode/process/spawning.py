"""Start ``opencode serve`` and wait until it is ready.

Whether it is ready is asked through a callable, so that nothing here speaks HTTP.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.opencode.process import identity, ports, terminating
from netclaw_opencode.opencode.process.identity import ProcessIdentity

_PROBE_PAUSE_SECONDS = 0.05


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


def loopback_url(port: int) -> str:
    """Return the base URL of a server of ours."""
    return f"http://127.0.0.1:{port}"


def server_environment(environ: Mapping[str, str], *, extra: Sequence[str] = (), password: str) -> dict[str, str]:
    """Return what a server of ours may see: the system's basics, the providers' own variables, and ``extra`` by name."""
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
    """Start ``opencode serve`` on loopback and wait until it is ready and the port is proved to be its own.

    Whatever was started is ended before an error, or a cancellation, is raised.

    Args:
        binary: The program.
        port: The port to listen on.
        environment: All that the server may see.
        directory: Its working directory.
        log_file: Gets its output.
        within_seconds: Time for becoming ready.
        ready: Asks a URL whether the server is ready.
        started: Gets the process as soon as it exists.
        options: Further options of ``opencode serve``.

    Raises:
        ServerProblem: ``server_start_failed`` (it ended; with the tail of its log), ``port_in_use`` or ``server_not_ready``.
    """
    if not await ports.wait_until_free(port):
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
    server = identity.identify(process.pid)
    try:
        started(Spawned(loopback_url(port), server))
        with anyio.move_on_after(within_seconds):
            url = await _become_ready(process, log_file, offset, port, ready)
            return Spawned(url, server)
        raise ServerProblem(
            "server_not_ready",
            f"the server did not become ready within {within_seconds:g} s",
            details={"log_tail": read_log_tail(log_file, offset)},
        )
    except BaseException:
        with anyio.CancelScope(shield=True):
            await terminating.terminate_tree(process.pid, server.start_ticks)
        raise
    finally:
        # It outlives this object, which would complain of that; the process that finds it ended reaps it.
        process.returncode = process.poll() or 0


async def _become_ready(
    process: subprocess.Popen[bytes], log_file: Path, offset: int, port: int, ready: Callable[[str], Awaitable[bool]]
) -> str:
    while True:
        code = process.poll()
        if code is not None:
            text = read_log_tail(log_file, offset)
            if ports.is_taken(port):
                # The server itself does not say the reason (F4).
                raise ServerProblem("port_in_use", f"port {port} on 127.0.0.1 was taken by another program", details={"port": port})
            raise ServerProblem(
                "server_start_failed",
                f"the server ended with exit code {code} while starting: {_last_line(text)}",
                details={"exit_code": code, "log_tail": text},
            )
        url = await anyio.to_thread.run_sync(_announced_url, log_file, offset)
        if url is not None and await ready(url) and ports.is_listening(process.pid, url):
            return url
        await anyio.sleep(_PROBE_PAUSE_SECONDS)


def _announced_url(log_file: Path, offset: int) -> str | None:
    with log_file.open("rb") as log:
        log.seek(offset)
        found = _LISTENING.search(log.read())
    return found.group(1).decode("ascii", "replace").rstrip("/") if found else None


def read_log_tail(log_file: Path, offset: int = 0) -> str:
    """Return the end of a log (at most 8 KiB from ``offset`` on), with credentials hidden."""
    from netclaw_opencode._core.redaction import redact

    with log_file.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(offset, size - _TAIL_BYTES))
        return redact(log.read().decode("utf-8", "replace"))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
