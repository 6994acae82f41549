"""The MCP server: every action as a tool for a host that speaks the Model Context Protocol over stdio.

Owns the translation between that protocol and ``Registry.invoke``: ``tools`` and ``schemas`` describe the actions, ``answers``
turns envelopes into results, ``progress`` hands events to the call that they belong to, ``serving`` lives with the client.
Only ``serving`` imports the SDK, which is an extra: ``pip install 'netclaw-opencode[mcp]'``. It must hold no logic of an action.
"""

from __future__ import annotations

SDK = "mcp"
SDK_MAJOR = 2
"""The SDK's distribution, and the major version whose low-level server is used."""

DEFAULT_CALL_SECONDS = 80.0
"""How long a call may take, its clean-up included, by default: below the 90 s after which netclaw-dev drops it."""

__all__ = ["DEFAULT_CALL_SECONDS", "SDK", "SDK_MAJOR"]
