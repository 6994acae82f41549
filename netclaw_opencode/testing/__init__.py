"""A conformance kit for authors of plugins and hosts: fixtures on a real OpenCode server with the offline model behind it.

    # conftest.py
    pytest_plugins = ["netclaw_opencode.testing"]

Owns a private server, the fault proxy, the leak check and the probes of the hook contract. It needs pytest (the extra
``testing``) and OpenCode on PATH, or named by ``OPENCODE_DRIVER_BINARY``; nothing of your own OpenCode is seen or touched. The
fixtures: ``offline_model``, ``opencode_server``, ``opencode_directory``, ``opencode_settings``, ``opencode_host``,
``fault_proxy``, ``leak_check``, ``hook_probe``.
"""

from __future__ import annotations

from netclaw_opencode.testing.fixtures import (
    fault_proxy,
    hook_probe,
    leak_check,
    offline_model,
    opencode_directory,
    opencode_host,
    opencode_server,
    opencode_settings,
)
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.probe import HookProbe, conformance_problems
from netclaw_opencode.testing.proxy import FaultProxy
from netclaw_opencode.testing.server import OpenCodeServer, running_server
from netclaw_opencode.testing.waiting import wait_until

__all__ = [
    "FaultProxy",
    "HookProbe",
    "LeakCheck",
    "OpenCodeServer",
    "conformance_problems",
    "fault_proxy",
    "hook_probe",
    "leak_check",
    "offline_model",
    "opencode_directory",
    "opencode_host",
    "opencode_server",
    "opencode_settings",
    "running_server",
    "wait_until",
]
