"""Where OpenCode's program is, and which version.

Owns the search (never the current folder) and the version gate. It starts nothing but ``opencode --version``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode._core import time_budget
from netclaw_opencode.errors import ServerProblem

SUPPORTED = "1.18 <= version < 2"
PINNED = "1.18.33"
INSTALL = "netclaw-opencode server install-opencode"
_ABOUT_2 = "; OpenCode 2 is another package under the same program name, with other routes"
_FIXED = (1, 18, 22)
"""First version without the advisory GHSA-632h-h47v-g4x4."""
_VERSION_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Binary:
    """OpenCode's program: an absolute path and its version."""

    path: str
    version: str


def installed_path(state_dir: Path) -> Path:
    """Return where ``install_opencode`` puts its program."""
    return state_dir / "opencode" / "node_modules" / ".bin" / ("opencode.cmd" if os.name == "nt" else "opencode")


def read_installed_version(state_dir: Path) -> str | None:
    """Return the version of that program, or None if it is not there or does not run."""
    path = installed_path(state_dir)
    if not os.access(path, os.X_OK):
        return None
    try:
        return _packaged_version(str(path)) or _run_version(str(path))
    except ServerProblem:
        return None


def find_binary(configured: str | None, *, search_path: str | None = None, state_dir: Path | None = None) -> str:
    """The absolute path of ``opencode``: the configured one, else the one that was installed into ``state_dir``, else the first on PATH.

    Empty and relative entries of PATH are skipped, since they would mean the current folder. Raises ``ServerProblem``
    (``binary_not_found``).
    """
    if configured is not None:
        path = Path(configured).expanduser()
        if not path.is_absolute() or not path.is_file() or not os.access(path, os.X_OK):
            raise ServerProblem(
                "binary_not_found",
                f"OPENCODE_DRIVER_BINARY {configured!r} is not the absolute path of a program that can be run",
                next="correct OPENCODE_DRIVER_BINARY, or unset it: opencode is then looked for on PATH",
            )
        return str(path)
    if state_dir is not None and os.access(installed_path(state_dir), os.X_OK):
        return str(installed_path(state_dir))
    for folder in (search_path if search_path is not None else os.environ.get("PATH", "")).split(os.pathsep):
        candidate = Path(folder, "opencode.exe" if os.name == "nt" else "opencode")
        if folder and Path(folder).is_absolute() and candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise ServerProblem("binary_not_found", "OpenCode is not installed: there is no opencode on PATH")


def read_binary(path: str) -> Binary:
    """Return the program with its version.

    Raises:
        ServerProblem: ``binary_not_found``, ``unsupported_version``.
    """
    version = _packaged_version(path) or _run_version(path)
    check_version(version)
    return Binary(path, version)


def _packaged_version(path: str) -> str | None:
    """Return the version that npm recorded beside the program; spares starting it (0.7 s)."""
    real = Path(path).resolve()
    for folder in real.parents[:3]:
        manifest = folder / "package.json"
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict) and found.get("name") == "opencode-ai" and isinstance(found.get("version"), str):
            return str(found["version"])
        return None
    return None


def _run_version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=time_budget.remaining_up_to(_VERSION_SECONDS),
            check=False,
            encoding="utf-8",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerProblem("binary_not_found", f"{path} cannot be run: {error}") from error
    version = done.stdout.strip()
    if done.returncode != 0 or not version:
        raise ServerProblem("binary_not_found", f"{path} --version ended with {done.returncode}: {(done.stderr or version)[:200].strip()}")
    return version


def parse_version(version: str) -> tuple[int, int, int] | None:
    """``1.18.33`` as numbers; a pre-release counts below its release; None if it is no version."""
    found = re.fullmatch(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:([-+]).*)?", version, re.ASCII)
    if found is None:
        return None
    major, minor, patch = (int(number) for number in found.groups()[:3])
    return (major, minor, patch - 1) if found.group(4) == "-" else (major, minor, patch)


def check_version(version: str) -> None:
    """Raises ``ServerProblem`` (``unsupported_version``) outside the supported range (F35)."""
    key = parse_version(version)
    # The major number alone, since 2.0.0-beta counts below 2.0.0.
    if key is None or key < (1, 18, 0) or key[0] >= 2:
        about = _ABOUT_2 if key is not None and key[0] >= 2 else ""
        raise ServerProblem(
            "unsupported_version",
            f"OpenCode {version[:40]!r} is not supported: this package drives {SUPPORTED}{about}",
            next=INSTALL,
            details={"version": version[:40], "supported": SUPPORTED},
        )


def wrong_generation_error(url: str) -> ServerProblem:
    """Return the error for a server that is OpenCode and has not the routes of 1.x."""
    return ServerProblem(
        "unsupported_version",
        f"{url} is an OpenCode without the routes of 1.x, such as OpenCode 2: this package drives {SUPPORTED}",
        next=f"{INSTALL}, then netclaw-opencode server start-server, with OPENCODE_API_URL unset",
        details={"supported": SUPPORTED},
    )


def is_vulnerable(version: str) -> bool:
    """Return whether the version has a known hole, so that we do not start it ourselves."""
    key = parse_version(version)
    return key is not None and key < _FIXED
