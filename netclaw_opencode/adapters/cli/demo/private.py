"""A private world for the demo: own HOME, own data and state folders, no variable of the user's, the offline model.

Owns the environment that the demo's server gets. This process's own environment is not touched.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from netclaw_opencode.settings import Settings

# Nothing else of the user's environment is seen: no key, no proxy, no configuration.
_KEPT = frozenset({"PATH", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "OPENCODE_DRIVER_BINARY"})


@contextmanager
def private_settings() -> Iterator[Settings]:
    """Settings for a server of its own with the offline model behind it; everything is removed on leaving."""
    from netclaw_opencode.actions.installing import find_installed_program
    from netclaw_opencode.offline import OfflineModel, demo_script

    # What install_opencode has put into the user's state folder, which the private world does not see.
    program = find_installed_program(os.environ)
    environ = {**({"OPENCODE_DRIVER_BINARY": program} if program else {}), **os.environ}
    with tempfile.TemporaryDirectory(prefix="netclaw-demo-home-") as home, OfflineModel(demo_script()) as model:
        yield Settings.from_environment(private_environment(environ, Path(home).resolve(), config=model.provider_config()))


def private_environment(environ: Mapping[str, str], home: Path, *, config: Mapping[str, object]) -> dict[str, str]:
    """Return the variables of a process that shares nothing with the user's OpenCode but the program."""
    from netclaw_opencode.offline import offline_environment

    folders = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
        "XDG_CACHE_HOME": home / "cache",
        "TMPDIR": home / "tmp",
        "OPENCODE_DRIVER_STATE_DIR": home / "driver",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        **{name: value for name, value in environ.items() if name in _KEPT},
        **{name: str(folder) for name, folder in folders.items()},
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        # The folder lives as long as this server does.
        "OPENCODE_DRIVER_SERVER_ENV": "TMPDIR",
        # Nothing may go out to the network (F8).
        **offline_environment(home / "config"),
    }


__all__ = ["private_environment", "private_settings"]
