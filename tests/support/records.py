"""A record of a server of ours, as a test wants it.

Owns what such a record holds where the test does not care.
"""

from __future__ import annotations

from netclaw_opencode.opencode.process import identity
from netclaw_opencode.opencode.process.state import ServerRecord

URL = "http://127.0.0.1:4123"
PASSWORD = "canary-pass"


def server_record(pid: int = 999_999, **changed: object) -> ServerRecord:
    """A record of the process ``pid`` of our own namespace; of none that runs, where there is no such process."""
    fields: dict[str, object] = {
        "url": URL,
        "pid": pid,
        "start_ticks": identity.identify(pid).start_ticks,
        "boot_id": identity.boot_id(),
        "pid_namespace": identity.pid_namespace(),
        "username": "opencode",
        "password": PASSWORD,
        "binary": "/opt/opencode",
        "opencode_version": "1.18.33",
        "log_file": "/s/server.log",
        "mark": "0123abcd",
    }
    return ServerRecord(**fields | changed)  # type: ignore[arg-type]  # fields of the record
