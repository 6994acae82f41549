"""Other callers beside the one under test: in a process, or in a PID namespace, of their own.

Owns starting them. They are real processes with the package in them, on the same server and for the same user.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from netclaw_opencode.driver import tags
from netclaw_opencode.driver.tags import METADATA_KEY, SessionTag
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.settings import Settings
from netclaw_opencode.testing.waiting import SOON
from tests.real.acting import Json

ROOT = Path(__file__).resolve().parents[2]
ONE_CALL = """
import json, sys
from netclaw_opencode.host import Host
from netclaw_opencode.opencode.process import identity
from netclaw_opencode.settings import Settings
with Host(Settings.from_environment(), entry_points=False) as host:
    envelope = host.call(sys.argv[1], **json.loads(sys.argv[2]))
json.dump({"envelope": envelope, "me": identity.this_process().to_json()}, sys.stdout)
"""


def namespace() -> list[str]:
    """The command that runs another one in a PID namespace of its own, with a /proc of its own."""
    # Without root a namespace of users makes it possible; where neither is, the test fails: it would prove nothing.
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--pid", "--fork", "--kill-child", "--mount-proc"]


@contextmanager
def calling(
    settings: Settings, folder: Path, action: str, *, before: tuple[str, ...] = (), **arguments: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Another process makes this call, with a state folder of its own; it is gone afterwards."""
    folder.mkdir(exist_ok=True)
    environ = {**settings.environ, "OPENCODE_DRIVER_STATE_DIR": str(folder / "state"), "PATH": os.environ["PATH"]}
    command = [*before, sys.executable, "-c", ONE_CALL, action, json.dumps(arguments)]
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SOON)


def called(settings: Settings, folder: Path, action: str, *, before: tuple[str, ...] = (), **arguments: object) -> Mapping[str, Json]:
    """The envelope of such a call, and who that process was."""
    with calling(settings, folder, action, before=before, **arguments) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found: Mapping[str, Json] = json.loads(out)
    return found


def mark_of_the_dead(session_id: str | None = None) -> Json:
    """The metadata of a session whose caller is gone: a process of ours that has ended."""
    child = subprocess.Popen([sys.executable, "-SEc", "pass"])
    owner = identity.identify(child.pid)
    child.wait()
    assert set(tags.owner_marks()) == {"owner"}
    return {METADATA_KEY: SessionTag(task="run_task", session_id=session_id, created_by=f"dead-{child.pid}", owner=owner).to_metadata()}
