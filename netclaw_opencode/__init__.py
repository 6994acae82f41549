"""Drive the OpenCode coding agent dependably: the ``opencode-driver`` skill as a Python package.

from netclaw_opencode import OpenCode

with OpenCode() as opencode:
    result = opencode.call("run_task", prompt="Write hello.py", directory="/path/to/project")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netclaw_opencode.embedding import AsyncOpenCode, OpenCode
    from netclaw_opencode.errors import DriverError
    from netclaw_opencode.host import Host
    from netclaw_opencode.settings import Settings

__version__ = "1.0.0"

__all__ = ["AsyncOpenCode", "DriverError", "Host", "OpenCode", "Settings", "__version__"]

_HOMES = {
    "AsyncOpenCode": "netclaw_opencode.embedding",
    "DriverError": "netclaw_opencode.errors",
    "Host": "netclaw_opencode.host",
    "OpenCode": "netclaw_opencode.embedding",
    "Settings": "netclaw_opencode.settings",
}


def __getattr__(name: str) -> object:
    # Lazily, so that the command's --help does not pay for what it does not use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
