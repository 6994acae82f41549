"""Get the OpenCode that this package drives, from npm, into the state folder.

The versions are shipped, and the digests of the packages for Linux x64 (``pin/package-lock.json``; for other systems the
registry's own count); npm refuses what does not fit. Of their scripts only OpenCode's own is run, which puts its program into
place. What was there before is replaced only when the new program has printed its version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from netclaw_opencode._core.private_files import is_full, require_private_folder
from netclaw_opencode._core.redaction import redact
from netclaw_opencode.errors import DriverError, ServerProblem
from netclaw_opencode.opencode.process import identity, locks, neighbours, terminating
from netclaw_opencode.opencode.process.binary import PINNED, installed_path, read_installed_version

_PIN = Path(__file__).with_name("pin")
_NEEDED_BYTES = 900 * 1024 * 1024
"""The packages are 354 MB, and npm keeps the archives beside them while it unpacks (measured on Linux)."""
_ABOUT_BYTES = 354_000_000
_TELL_SECONDS = 1.0
_SCRIPT_SECONDS = 120.0
"""The last resort for a program that hangs; OpenCode prints its version in 0.7 s."""
_SHOWN = 1500
_NEW, _OLD, _LOG = ".opencode-new", ".opencode-old", "install.log"
_NOT_FOR_NPM = ("OPENCODE_", "NPM_CONFIG_PREFIX", "NPM_CONFIG_GLOBAL", "NPM_CONFIG_LOCATION", "NPM_CONFIG_OMIT", "NODE_OPTIONS")
_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH", "ERR_SOCKET_TIMEOUT")


@dataclass(frozen=True, slots=True)
class Installation:
    """The program; ``new`` is false where it was there already."""

    path: str
    version: str
    new: bool


async def install(state_dir: Path, environ: Mapping[str, str], *, within_seconds: float, report: Callable[[str], None]) -> Installation:
    """Install the pinned OpenCode below ``state_dir``, unless it is there.

    Args:
        state_dir: this user's state folder.
        environ: where npm is looked for, and what it sees of its user's settings.
        within_seconds: the whole time; npm is ended after it.
        report: Gets one line about the progress.

    Raises:
        ServerProblem: ``install_failed``; what was there before is as it was.
    """
    target = require_private_folder(state_dir) / "opencode"
    async with locks.hold(state_dir, "install", within_seconds=within_seconds) as mine:
        if not mine:
            raise ServerProblem("install_failed", f"another process has been installing OpenCode for {within_seconds:g} s")
        if await anyio.to_thread.run_sync(read_installed_version, state_dir) == PINNED:
            return Installation(str(installed_path(state_dir)), PINNED, new=False)
        npm, node = (shutil.which(name, path=environ.get("PATH", "")) for name in ("npm", "node"))
        if npm is None or node is None:
            raise ServerProblem(
                "install_failed", "npm is not on PATH", next="install Node.js with npm (https://nodejs.org), then call again"
            )
        free = neighbours.free_bytes(state_dir)
        if free is not None and free < _NEEDED_BYTES:
            raise _disk_full_error(state_dir, f"{free // 1024**2} MB are free, {_NEEDED_BYTES // 1024**2} MB are needed")
        fresh = target.with_name(_NEW)
        try:
            await anyio.to_thread.run_sync(_prepare, fresh)
            with anyio.move_on_after(within_seconds):
                await _run_npm(npm, fresh, environ, report)
                await anyio.to_thread.run_sync(_check, node, fresh, environ, abandon_on_cancel=True)
                await anyio.to_thread.run_sync(_put_in_place, fresh, target)
                return Installation(str(installed_path(state_dir)), PINNED, new=True)
            raise ServerProblem("install_failed", f"npm did not end within {within_seconds:g} s", next="call again with more time")
        except subprocess.TimeoutExpired as error:
            raise ServerProblem("install_failed", "the installed program does not print its version") from error
        except OSError as error:
            if is_full(error):
                raise _disk_full_error(state_dir, error.strerror or "") from error
            raise ServerProblem("install_failed", f"{state_dir}: {error.strerror or error}") from error
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(fresh, ignore_errors=True))


def _prepare(fresh: Path) -> None:
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(_PIN / name, fresh / name)


async def _run_npm(npm: str, fresh: Path, environ: Mapping[str, str], report: Callable[[str], None]) -> None:
    log = fresh / _LOG
    started = _start_npm(npm, log, environ)
    start_ticks = identity.start_ticks(started.pid)
    try:
        while started.poll() is None:
            done = await anyio.to_thread.run_sync(_size, fresh / "node_modules")
            report(f"installing OpenCode {PINNED}: {done // 1_000_000} of about {_ABOUT_BYTES // 1_000_000} MB unpacked")
            with anyio.move_on_after(_TELL_SECONDS):
                await anyio.to_thread.run_sync(started.wait, abandon_on_cancel=True)
    finally:
        if started.poll() is None and start_ticks is not None:
            with anyio.CancelScope(shield=True):
                await terminating.terminate_tree(started.pid, start_ticks)
    if started.returncode:
        raise _install_error(log.read_text(encoding="utf-8", errors="replace"), started.returncode, fresh)


def _start_npm(npm: str, log: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--include=optional"]
    own, nothing = _npm_environment(environ), subprocess.DEVNULL
    with log.open("wb") as sink:
        return subprocess.Popen(command, cwd=log.parent, env=own, stdin=nothing, stdout=sink, stderr=sink, start_new_session=True)


def _npm_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the user's environment, with its npm settings, but neither our secrets nor what sends an installation elsewhere."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(_NOT_FOR_NPM)}


def _size(folder: Path) -> int:
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found += Path(place, name).lstat().st_size
    return found


def _check(node: str, fresh: Path, environ: Mapping[str, str]) -> None:
    """Put the program into its place and ask it for its version; a platform's package that is missing shows here."""
    home = fresh / "home"
    home.mkdir()
    # OpenCode makes folders in its home, whatever it is asked.
    own = {name: value for name, value in _npm_environment(environ).items() if not name.startswith("XDG_")} | {"HOME": str(home)}
    package = fresh / "node_modules" / "opencode-ai"
    program = fresh / "node_modules" / ".bin" / installed_path(fresh).name
    answer = ""
    for command in ([node, str(package / "postinstall.mjs")], [str(program), "--version"]):
        done = subprocess.run(
            command,
            cwd=package,
            env=own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=_SCRIPT_SECONDS,
        )
        answer = done.stdout.strip() if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr[-200:].strip()}"
    if answer != PINNED:
        raise ServerProblem("install_failed", f"the installed program does not say {PINNED}, but {redact(answer)[:200]!r}")
    shutil.rmtree(home, ignore_errors=True)


def _put_in_place(fresh: Path, target: Path) -> None:
    old = target.with_name(_OLD)
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _disk_full_error(state_dir: Path, why: str) -> DriverError:
    return ServerProblem(
        "install_failed",
        f"there is no room at {state_dir}: {why}",
        next="make room there, or set OPENCODE_DRIVER_STATE_DIR, then call again",
    )


def _install_error(text: str, code: int, fresh: Path) -> DriverError:
    # npm says first what is wrong, and then much about itself.
    output = redact(" ".join(text.replace("npm error", " ").split())[:_SHOWN])
    if "ENOSPC" in text:
        return _disk_full_error(fresh.parent, "npm says ENOSPC")
    if "EINTEGRITY" in text:
        return ServerProblem(
            "install_failed",
            "what npm was given is not the package that this release names by its digest; nothing of it was run",
            next="npm cache clean --force, then call again; if it comes again, look at the registry that npm uses",
            details={"npm": output},
        )
    if any(name in text for name in _NETWORK):
        return ServerProblem(
            "install_failed",
            "npm cannot reach its registry",
            next="look at the network and at npm's own settings (npm config get registry), then call again",
            details={"npm": output},
        )
    return ServerProblem("install_failed", f"npm ended with exit code {code}: {output[:300]}", details={"npm": output})


__all__ = ["Installation", "install"]
