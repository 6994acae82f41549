"""The distribution as a stranger gets it: built once, installed once, in an environment that holds nothing else.

Owns the two session fixtures. The dependencies come from the package index and are not pinned: what a user's pip would
choose today is what has to work.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ("PYTHON", "COV", "OPENCODE", "PIP_CONSTRAINT", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Built:
    """The two files of a release."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True, slots=True)
class Installed:
    """A virtual environment with the wheel, and a working directory far from the repository."""

    prefix: Path
    elsewhere: Path

    def run(self, program: str, *arguments: str, timeout_seconds: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, with these variables; a failure shows what it printed."""
        environ = (
            {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | {"HOME": str(self.elsewhere)} | variables
        )
        command = [str(self.prefix / "bin" / program), *arguments]
        done = subprocess.run(
            command,
            cwd=self.elsewhere,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_seconds,
            check=False,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def evaluate(self, code: str) -> str:
        """What a short Python program prints there, with warnings as errors."""
        return self.run("python", "-W", "error", "-I", "-c", code).stdout.strip()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of this tree, and the wheel built from that sdist: what it lacks, the wheel would lack."""
    base = tmp_path_factory.getbasetemp()
    # The workers of a run share the folder above their own, and build once.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dist"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            run_here("-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return Built(sdist=next(folder.glob("*.tar.gz")), wheel=next(folder.glob("*.whl")))


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel with its run-time dependencies in a virtual environment of its own."""
    prefix = tmp_path_factory.mktemp("clean") / "venv"
    run_here("-m", "venv", str(prefix))
    run_here("-m", "pip", "--python", str(prefix / "bin" / "python"), "install", "--quiet", "--disable-pip-version-check", str(built.wheel))
    return Installed(prefix=prefix, elsewhere=tmp_path_factory.mktemp("elsewhere"))


def run_here(*arguments: str) -> None:
    """Run this interpreter; a failure shows what it printed."""
    done = subprocess.run([sys.executable, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"python {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
