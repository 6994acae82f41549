"""Which call of a tool ran which sub-agent: the transcript names both, and not their bond."""

from __future__ import annotations

from collections.abc import Mapping

from netclaw_opencode.records.trajectory import Prompt, ToolCall, Trajectory

SUB_AGENT = "sub-agent"
_TOOL = "task"
_COMPARED = 4096
"""Both texts may have been shortened, each in its own way, but not so near to their beginning."""


def find_callers(trajectory: Trajectory) -> Mapping[str, ToolCall]:
    """Return the call of the tool by the id of the sub-agent's session: the one with its prompt, else the next one in order."""
    free = [step for step in trajectory.steps if isinstance(step, ToolCall) and step.tool == _TOOL]
    first: dict[str, Prompt] = {}
    for step in trajectory.steps:
        if isinstance(step, Prompt):
            first.setdefault(step.session_id, step)
    found: dict[str, ToolCall] = {}
    for session in trajectory.sessions:
        prompt = first.get(session.session_id)
        mine = [call for call in free if call.session_id == session.parent_id]
        if session.part != SUB_AGENT or prompt is None or not mine:
            continue
        call = next((call for call in mine if str(call.input.get("prompt"))[:_COMPARED] == prompt.text[:_COMPARED]), mine[0])
        found[session.session_id] = call
        free.remove(call)
    return found


__all__ = ["SUB_AGENT", "find_callers"]
