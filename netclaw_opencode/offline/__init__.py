"""The offline model: a scripted, OpenAI-compatible model server on loopback.

For the demo, for our tests and for users' own tests: a real OpenCode server works against it without network, key or
cost. It owns nothing outside this package and imports nothing of the driver. It uses the standard library only.

    with OfflineModel() as model:
        model.when("write it", ToolCall("write", {"filePath": "${directory}/a.txt", "content": "hi"}), Text("done"))
        environment["OPENCODE_CONFIG_CONTENT"] = json.dumps(model.provider_config())
"""

from __future__ import annotations

from netclaw_opencode.offline.config import keep_from_installing, offline_environment
from netclaw_opencode.offline.conversation import Conversation
from netclaw_opencode.offline.demo import DEMO_CHECK, DEMO_PROMPT, demo_script
from netclaw_opencode.offline.script import Reply, Script, echo
from netclaw_opencode.offline.server import ModelCall, OfflineModel
from netclaw_opencode.offline.steps import (
    Attempts,
    CloseSocket,
    ControlCharacters,
    CutStream,
    Drip,
    Empty,
    Finish,
    Garbage,
    Gate,
    Gated,
    Hang,
    HangMidStream,
    Html,
    Huge,
    Part,
    Reasoning,
    Status,
    Step,
    Text,
    ToolCall,
    Usage,
)

__all__ = [
    "DEMO_CHECK",
    "DEMO_PROMPT",
    "Attempts",
    "CloseSocket",
    "ControlCharacters",
    "Conversation",
    "CutStream",
    "Drip",
    "Empty",
    "Finish",
    "Garbage",
    "Gate",
    "Gated",
    "Hang",
    "HangMidStream",
    "Html",
    "Huge",
    "ModelCall",
    "OfflineModel",
    "Part",
    "Reasoning",
    "Reply",
    "Script",
    "Status",
    "Step",
    "Text",
    "ToolCall",
    "Usage",
    "demo_script",
    "echo",
    "keep_from_installing",
    "offline_environment",
]
