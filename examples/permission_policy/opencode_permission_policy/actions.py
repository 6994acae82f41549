"""The handler of the one action."""

from __future__ import annotations

import os

from netclaw_opencode.actions.context import ActionContext
from netclaw_opencode.jsontypes import JsonObject
from opencode_permission_policy.policy import FOLDERS_VARIABLE, SENTENCE, folders_from


async def explain_policy(arguments: JsonObject, context: ActionContext) -> JsonObject:
    """Say what the policy allows here and now."""
    return {"policy": SENTENCE, "allowed_folders": [str(folder) for folder in folders_from(os.environ)], "variable": FOLDERS_VARIABLE}
