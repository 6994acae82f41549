"""Start a worker for whoever has submitted a batch: a process of its own, which outlives its caller and ends with the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import ServerProblem

if TYPE_CHECKING:
    from netclaw_opencode.settings import Settings

_LOG = "worker.log"
_TAIL_BYTES = 2000
_MOST_LOG_BYTES = 10 * 1024 * 1024
_children: list[subprocess.Popen[bytes]] = []
"""Workers that this process has started: an ended one is reaped at the next look."""


def start(settings: Settings, *, concurrency: int) -> subprocess.Popen[bytes]:
    """Start a worker that ends when nothing is left; raises ``ServerProblem`` (``worker_failed``)."""
    home = require_private_folder(settings.state_dir / "batches")
    log_file = home / _LOG
    if log_file.exists() and log_file.stat().st_size > _MOST_LOG_BYTES:
        log_file.unlink()
    environment = _environment(settings)
    try:
        with log_file.open("ab") as log:
            log_file.chmod(0o600)
            child = subprocess.Popen(
                [sys.executable, "-m", "netclaw_opencode", "worker", "--until-done", "--concurrency", str(concurrency)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        raise ServerProblem("worker_failed", f"no worker could be started: {error.strerror}") from error
    _children[:] = [each for each in _children if each.poll() is None]
    _children.append(child)
    return child


def _environment(settings: Settings) -> dict[str, str]:
    """The environment in which a worker reads these very settings, also where a program has made them by hand."""
    environment = dict(settings.environ or os.environ)
    told = {
        "STATE_DIR": str(settings.state_dir),
        "DIRECTORY": settings.directory,
        "BATCH_URL": settings.batch_url,
        "BINARY": settings.binary,
        "POLICY": settings.policy,
        "AUDIT": settings.audit,
        "SERVER_ENV": ",".join(settings.server_env),
        "REQUIRED_PLUGINS": ",".join(settings.required_plugins),
        "ROOTS": os.pathsep.join(map(str, settings.roots)),
        "TRUST": os.pathsep.join(map(str, settings.trust)),
    }
    environment |= {f"OPENCODE_DRIVER_{name}": str(value) for name, value in told.items() if value}
    # The very package that runs here, wherever it was found.
    ours = str(Path(__file__).resolve().parents[2])
    return environment | {"PYTHONPATH": os.pathsep.join([ours, *filter(None, [environment.get("PYTHONPATH")])])}


def ended_early(child: subprocess.Popen[bytes], settings: Settings) -> ServerProblem:
    """The error of a worker that has ended before its work."""
    last = tail(settings)
    return ServerProblem(
        "worker_failed",
        f"the worker ended with exit code {child.poll()}: {last.strip().splitlines()[-1][:500] if last.strip() else 'its log is empty'}",
        details={"exit_code": child.poll(), "log_file": str(settings.state_dir / "batches" / _LOG), "log_tail": last},
    )


def tail(settings: Settings) -> str:
    """The end of the log of the workers that were started here."""
    try:
        with (settings.state_dir / "batches" / _LOG).open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _TAIL_BYTES))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""


__all__ = ["ended_early", "start", "tail"]
