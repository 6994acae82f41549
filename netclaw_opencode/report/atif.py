"""A transcript in the Agent Trajectory Interchange Format (ATIF), as Harbor and its tools read it.

Owns the mapping: prompts are steps of the user, each model call with its tools is one of the agent, how it ended is one of the system;
sub-agents are trajectories of their own, embedded and referred to. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from netclaw_opencode.records.trajectory import ModelCall, Prompt, Session, Step, ToolCall, Trajectory, Usage
from netclaw_opencode.report.sub_agents import SUB_AGENT, find_callers

VERSION = "ATIF-v1.8"
_AGENT = "opencode"


def to_atif(trajectory: Trajectory) -> dict[str, object]:
    """Return the document; ``harbor.models.trajectories`` (0.26) is its form."""
    return _Writer(trajectory, find_callers(trajectory)).document()


@dataclass(frozen=True, slots=True)
class _Writer:
    """One transcript being written."""

    trajectory: Trajectory
    callers: Mapping[str, ToolCall]

    def document(self) -> dict[str, object]:
        """Return the whole: what the task itself did, with its sub-agents in it."""
        trajectory = self.trajectory
        top = [session for session in trajectory.sessions if session.part != SUB_AGENT]
        steps = self._steps_of(top)
        error = trajectory.error
        if error is not None or trajectory.outcome not in ("completed", "waiting"):
            told = f"{error['code']}: {error['message']}" if error is not None else trajectory.outcome
            steps.append({"source": "system", "timestamp": trajectory.ended_at, "message": f"The task ended: {told}"})
        extra: dict[str, object] = {
            "action": trajectory.action,
            "outcome": trajectory.outcome,
            "directory": trajectory.directory,
            "began_at": trajectory.began_at,
            "ended_at": trajectory.ended_at,
            "sessions": [{"session_id": item.session_id, "part": item.part, "agent": item.agent} for item in trajectory.sessions],
        }
        if error is not None:
            extra["error"] = {name: error[name] for name in ("code", "message", "rule", "next") if name in error}
        if trajectory.result is not None:
            extra |= {name: trajectory.result[name] for name in ("verified", "check", "statement", "work") if name in trajectory.result}
        name = top[0].session_id if top else None
        return self._trajectory(name, top[0].agent if top else "", steps, extra, children_of={item.session_id for item in top})

    def _trajectory(
        self, name: str | None, agent: str, steps: list[dict[str, object]], extra: Mapping[str, object], *, children_of: set[str]
    ) -> dict[str, object]:
        trajectory = self.trajectory
        children = [item for item in trajectory.sessions if item.part == SUB_AGENT and item.parent_id in children_of]
        made: dict[str, object] = {"schema_version": VERSION}
        if name is not None:
            made |= {"session_id": name, "trajectory_id": name}
        about: dict[str, object] = {"name": _AGENT, "version": trajectory.opencode or "unknown"}
        if trajectory.model:
            about["model_name"] = _model(trajectory.model)
        about["extra"] = {"agent": agent, "driver": f"netclaw-opencode {trajectory.version}"}
        # The form wants one step at least.
        steps = steps or [{"source": "system", "message": "Nothing is known of the steps."}]
        made |= {"agent": about, "steps": [{"step_id": number, **step} for number, step in enumerate(steps, 1)]}
        if trajectory.left_out and children_of & {item.session_id for item in trajectory.sessions if item.part != SUB_AGENT}:
            made["notes"] = "Left out: " + "; ".join(trajectory.left_out)
        made["final_metrics"] = self._metrics(children_of | ({name} if name is not None else set()), len(steps))
        made["extra"] = dict(extra)
        if children:
            made["subagent_trajectories"] = [self._sub_agent(child) for child in children]
        return made

    def _sub_agent(self, session: Session) -> dict[str, object]:
        steps = self._steps_of([session])
        return self._trajectory(session.session_id, session.agent, steps, {"title": session.title}, children_of={session.session_id})

    def _metrics(self, own: set[str], count: int) -> dict[str, object]:
        used = _sum(step for step in self.trajectory.steps if step.session_id in own)
        below = _sum(step for step in self.trajectory.steps if step.session_id in self._with_descendants(own))
        return {
            "total_prompt_tokens": _prompt_tokens(used),
            "total_completion_tokens": used.output + used.reasoning,
            "total_cached_tokens": used.cache_read,
            # By the form this one alone holds the sub-agents' too.
            "total_cost_usd": below.cost_usd,
            "total_steps": count,
        }

    def _with_descendants(self, own: set[str]) -> set[str]:
        found = set(own)
        for session in self.trajectory.sessions:  # a parent stands before its children
            if session.part == SUB_AGENT and session.parent_id in found:
                found.add(session.session_id)
        return found

    def _steps_of(self, sessions: list[Session]) -> list[dict[str, object]]:
        parts = {session.session_id: session.part for session in sessions}
        mine = [step for step in self.trajectory.steps if step.session_id in parts]
        tools: dict[str, list[ToolCall]] = {}
        for step in mine:
            if isinstance(step, ToolCall):
                tools.setdefault(step.message_id, []).append(step)
        made: list[dict[str, object]] = []
        told: set[str] = set()
        for step in mine:
            extra: dict[str, object] = {"session_id": step.session_id, "part": parts[step.session_id]}
            if isinstance(step, Prompt):
                made.append({"source": "user", "timestamp": _iso(step.at_ms), "message": step.text, "extra": extra})
            elif step.message_id not in told:
                told.add(step.message_id)
                made.append(self._agent_step(step, tools.get(step.message_id, []), extra))
        return made

    def _agent_step(self, step: ModelCall | ToolCall, tools: list[ToolCall], extra: dict[str, object]) -> dict[str, object]:
        made: dict[str, object] = {"source": "agent", "timestamp": _iso(step.began_ms), "message": ""}
        # A tool may be known without the model call that asked for it, where older steps were left out.
        if isinstance(step, ModelCall):
            made |= {"message": step.text, "llm_call_count": 1, "metrics": _metrics_of(step.usage)}
            if step.model:
                made["model_name"] = _model(step.model)
            if step.reasoning:
                made["reasoning_content"] = step.reasoning
            extra["finish"] = step.finish
            if step.ended_ms is not None:
                extra["ended_at"] = _iso(step.ended_ms)
            if step.error is not None:
                extra["error"] = dict(step.error)
            if step.summary:
                extra["summary"] = True
        if tools:
            named = [(call.call_id or f"call_{number}", call) for number, call in enumerate(tools, 1)]
            made["tool_calls"] = [_tool_call(name, call) for name, call in named]
            made["observation"] = {"results": [self._result(name, call) for name, call in named]}
        made["extra"] = extra
        return made

    def _result(self, name: str, call: ToolCall) -> dict[str, object]:
        extra: dict[str, object] = {"status": call.status}
        if call.output_chars > len(call.output):
            extra["output_chars"] = call.output_chars
        made: dict[str, object] = {"source_call_id": name, "content": call.output, "extra": extra}
        children = [session_id for session_id, caller in self.callers.items() if caller is call]
        if children:
            made["subagent_trajectory_ref"] = [{"trajectory_id": child, "session_id": child} for child in children]
        return made


def _tool_call(name: str, call: ToolCall) -> dict[str, object]:
    extra: dict[str, object] = {"began_at": _iso(call.began_ms), "title": call.title}
    if call.ended_ms is not None:
        extra["ended_at"] = _iso(call.ended_ms)
    return {"tool_call_id": name, "function_name": call.tool, "arguments": dict(call.input), "extra": extra}


def _metrics_of(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": _prompt_tokens(usage),
        "completion_tokens": usage.output + usage.reasoning,
        "cached_tokens": usage.cache_read,
        "cost_usd": usage.cost_usd,
        "extra": {"reasoning_tokens": usage.reasoning, "cache_write_tokens": usage.cache_write},
    }


def _prompt_tokens(usage: Usage) -> int:
    """Return all input: OpenCode counts what came from the cache apart."""
    return usage.input + usage.cache_read + usage.cache_write


def _sum(steps: Iterable[Step]) -> Usage:
    return sum((step.usage for step in steps if isinstance(step, ModelCall)), Usage())


def _model(model: Mapping[str, object]) -> str:
    return f"{model.get('providerID', '')}/{model.get('modelID', '')}"


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["VERSION", "to_atif"]
