"""ATIF: what is written is valid by Harbor's own published models, and says what the transcript says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netclaw_opencode.records.trajectory import ModelCall, Prompt, ToolCall
from netclaw_opencode.report.atif import to_atif
from tests.support.atif import check
from tests.support.trajectories import CHILD, ROOT, example, out_of_time


def test_a_task_with_a_sub_agent_and_a_repair_is_valid_and_whole() -> None:
    """Each prompt, each model call with its tools and their results, tokens and cost; the sub-agent embedded, and found by its call."""
    found = check(to_atif(example()))
    assert (found.schema_version, found.session_id, found.agent.name, found.agent.version) == ("ATIF-v1.8", ROOT, "opencode", "1.18.32")
    assert [step.source for step in found.steps] == ["user", "agent", "agent", "agent", "user", "agent", "agent"]
    first = found.steps[1]
    assert (first.message, first.reasoning_content) == ("I look at the folder first.", "The folder may hold something already.")
    assert (first.model_name, first.llm_call_count) == ("offline/offline-model", 1)
    assert (first.metrics.prompt_tokens, first.metrics.cached_tokens, first.metrics.completion_tokens) == (2100, 800, 52)
    assert first.tool_calls[0].arguments["command"] == "ls missing" and first.observation.results[0].extra["status"] == "error"
    (child,) = found.subagent_trajectories
    (reference,) = next(item for item in found.steps[2].observation.results if item.source_call_id == "call_3").subagent_trajectory_ref
    assert (child.trajectory_id, reference.trajectory_id, child.agent.extra["agent"]) == (CHILD, CHILD, "general")
    assert [step.message for step in child.steps] == ["Review it.", "It lacks lower case."]
    whole = found.final_metrics
    assert (whole.total_steps, whole.total_completion_tokens, round(whole.total_cost_usd, 4)) == (7, 184, 0.0083)
    assert found.extra["verified"] is True and found.extra["check"]["runs"][0]["passed"] is False


def test_what_failed_is_valid_too_and_says_how_it_ended() -> None:
    """A step of the system says why; what is left out stands in the notes."""
    found = check(to_atif(out_of_time()))
    assert (found.steps[-1].source, found.extra["outcome"]) == ("system", "turn_timeout")
    assert "the deadline of 5 s passed" in found.steps[-1].message and "output was not seen" in found.notes


@pytest.mark.parametrize("left", [(), (ToolCall,), (Prompt, ToolCall), (ModelCall,)], ids=["nothing", "tools", "no calls", "calls"])
def test_a_transcript_with_holes_is_still_valid(left: tuple[type, ...]) -> None:
    """Older steps may be missing: a tool without its model call, a sub-agent without its caller, or nothing at all."""
    whole = example()
    cut = replace(whole, steps=tuple(step for step in whole.steps if isinstance(step, left)) if left else ())
    found = check(to_atif(cut))
    assert len(found.steps) >= 1 and [step.step_id for step in found.steps] == list(range(1, len(found.steps) + 1))
