"""The built wheel with uv, as the README shows it: the command comes up in an environment that uv makes, in a home that knows nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from netclaw_opencode import __version__
from tests.packaging.conftest import OURS, ROOT, Built


def test_uvx_runs_the_wheel_and_uv_installs_it_as_a_tool(built: Built, tmp_path: Path) -> None:
    """`uvx --from WHEEL netclaw-opencode`, then `uv tool install WHEEL` and the command in the folder for tools."""
    home = tmp_path / "home"
    home.mkdir()
    uv = Path(sys.executable).with_name("uv")
    # The packages themselves may come from a cache, as they do for pip; nothing else of the user is seen.
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    environ = {name: value for name, value in os.environ.items() if not name.startswith((*OURS, "XDG_"))}
    environ |= {"HOME": str(home), "UV_CACHE_DIR": cache, "UV_PYTHON_DOWNLOADS": "never", "UV_PYTHON": sys.executable}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(uv, "tool", "run", "--from", built.wheel, "netclaw-opencode", "--version") == f"netclaw-opencode {__version__}\n"
    run(uv, "tool", "install", built.wheel)
    assert run(home / ".local" / "bin" / "netclaw-opencode", "--version") == f"netclaw-opencode {__version__}\n"
    assert "netclaw-opencode" in run(uv, "tool", "list")
    assert "uvx netclaw-opencode demo" in (ROOT / "README.md").read_text(encoding="utf-8")
