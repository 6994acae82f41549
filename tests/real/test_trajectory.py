"""The transcript that a task leaves, on the real server: what stands in it, for every way in which a task can end."""

from __future__ import annotations

import stat
from pathlib import Path

import anyio
import pytest

from netclaw_opencode.host import Host
from netclaw_opencode.offline import Gate, Gated, Hang, Reasoning, Text, ToolCall, Usage
from netclaw_opencode.records import trajectory
from netclaw_opencode.records.trajectory import ModelCall, Prompt, Step, Trajectory
from netclaw_opencode.records.trajectory import ToolCall as ToolStep
from netclaw_opencode.settings import Settings
from tests.real.acting import Acting, Json, Requests
from tests.real.test_action_tasks import sessions_here

pytestmark = pytest.mark.real
SECRET = "Bearer abcdefghijklmnop"


def bash(command: str) -> ToolCall:
    """A command of the agent."""
    return ToolCall("bash", {"command": command, "description": "work"})


def read(told: Json, settings: Settings) -> Trajectory:
    """The transcript that a result or an error's details name: this user's alone, in the state folder."""
    path = Path(told["trajectory"])
    assert path.parent == settings.state_dir / "trajectories" and stat.S_IMODE(path.stat().st_mode) == 0o600
    return trajectory.read_trajectory(path)


def kinds(steps: tuple[Step, ...]) -> list[str]:
    """What each step is, with the tool's name."""
    return [step.tool if isinstance(step, ToolStep) else "prompt" if isinstance(step, Prompt) else "call" for step in steps]


def test_a_task_with_everything_is_told_whole(in_git: Acting, settings: Settings, requests_sent: Requests) -> None:
    """A thought, a long output, a file, a sub-agent, a red check and its repair: each once, in order, with times and usage, no secret."""
    model = in_git.raw.model
    task = {"description": "dig", "prompt": "the child digs", "subagent_type": "general"}
    long = bash(f"seq 1800 | sed s/$/{'x' * 15}/; echo '{SECRET}'")
    model.when("tell everything", (Reasoning("I think."), long, Usage(900, 50, 7, 300)), ToolCall("task", task), Text("Done."))
    model.when("the child digs", bash("false"), Text("Dug."))
    model.when("this check fails", ToolCall("write", {"filePath": "${directory}/answer.txt", "content": "right\n"}), Text("Mended."))
    check = {"command": ["grep", "-q", "right", "answer.txt"]}
    done = in_git.data("run_task", prompt=f"tell everything {SECRET}", directory=in_git.directory, check=check)
    found = read(done, settings)
    assert (found.action, found.outcome, found.error, found.left_out) == ("run_task", "completed", None, ())
    assert [(item.part, item.agent) for item in found.sessions] == [("task", "build"), ("sub-agent", "general"), ("repair 1", "build")]
    root, child, repair = (item.session_id for item in found.sessions)
    assert [item.parent_id for item in found.sessions] == [None, root, root]
    assert kinds(tuple(step for step in found.steps if step.session_id == root)) == ["prompt", "call", "bash", "call", "task", "call"]
    assert kinds(tuple(step for step in found.steps if step.session_id == child)) == ["prompt", "call", "bash", "call"]
    assert kinds(tuple(step for step in found.steps if step.session_id == repair)) == ["prompt", "call", "write", "call"]
    assert [step.began_ms for step in found.steps] == sorted(step.began_ms for step in found.steps)
    assert all(step.ended_ms is not None and step.ended_ms >= step.began_ms for step in found.steps if not isinstance(step, Prompt))
    calls = [step for step in found.steps if isinstance(step, ModelCall)]
    used = sum((step.usage for step in calls), trajectory.Usage())
    assert (len(calls), used.input, used.output) == tuple(done["usage"][name] for name in ("model_calls", "input", "output"))
    assert (calls[0].reasoning, calls[0].usage.reasoning, calls[0].usage.cache_read) == ("I think.", 7, 300)
    assert (calls[-1].text, calls[-1].finish) == ("Mended.", "stop")
    tools = {step.tool: step for step in found.steps if isinstance(step, ToolStep) and step.session_id != child}
    output = tools["bash"].output
    assert output.startswith("1xxx") and output.endswith("[redacted]\n") and "characters left out" in output and len(output) <= 16 * 1024
    assert tools["bash"].output_chars > len(output) and tools["write"].input["content"] == "right\n"
    assert found.result is not None and "text" not in found.result and found.result["verified"] is True
    assert found.result["files_changed"] == done["files_changed"] and found.result["check"] == done["check"]
    whole = Path(done["trajectory"]).read_text(encoding="utf-8")
    assert "abcdefghijklmnop" not in whole and settings.password is not None and settings.password not in whole
    reads = [line for line in requests_sent.seen if "DELETE" in line]
    assert len(reads) == 2 and sessions_here(in_git) == []


@pytest.fixture
def quiet(acting: Acting) -> Acting:
    """The actions, with a model that answers what a test of cost asks."""
    acting.raw.model.when("just answer", Text("Here."))
    return acting


def test_a_transcript_costs_no_request_and_can_be_turned_off(
    quiet: Acting, settings: Settings, requests_sent: Requests, tmp_path: Path
) -> None:
    """It is made of what is read anyway (L4); with the setting off there is no file; a folder that is closed costs a note."""
    quiet.data("run_task", prompt="just answer")
    requests_sent.seen.clear()
    done = quiet.data("run_task", prompt="just answer")
    with_it = requests_sent.seen.count("GET /session/" + done["session_id"] + "/message")
    assert kinds(read(done, settings).steps) == ["prompt", "call"]
    off = Settings.from_environment(
        {**settings.environ, "OPENCODE_DRIVER_TRAJECTORY": "off", "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "b")}
    )
    with Host(off, entry_points=False) as host:
        requests_sent.seen.clear()
        without = host.call("run_task", prompt="just answer")["data"]
        assert isinstance(without, dict) and "trajectory" not in without
        seen = requests_sent.seen.count("GET /session/" + str(without["session_id"]) + "/message")
    assert with_it == seen and not (tmp_path / "b" / "trajectories").exists()
    folder = settings.state_dir / "trajectories"
    folder.chmod(0o755)
    closed = quiet.data("run_task", prompt="just answer")
    folder.chmod(0o700)
    assert "trajectory" not in closed and any("the trajectory could not be written" in note for note in closed["notes"])


def test_what_failed_ran_out_of_time_or_was_cancelled_is_told_too(acting: Acting, settings: Settings) -> None:
    """The error names the file; a command that was ended early has what it had printed; a caller that went away leaves one as well."""
    model = acting.raw.model
    model.when("too slow", bash("echo begun; sleep 2237"), Text("never"))
    error = acting.error("run_task", prompt="too slow", deadline_seconds=3)
    late = read(error["details"], settings)
    assert (late.outcome, late.result, kinds(late.steps)) == ("turn_timeout", None, ["prompt", "call", "bash"])
    assert late.error is not None and late.error["message"] == error["message"] and "begun" in late.steps[2].output  # type: ignore[union-attr]
    model.when("spend too much", bash("true"), bash("true"), Hang())
    spent = acting.error("run_task", prompt="spend too much", max_model_calls=1)
    assert read(spent["details"], settings).outcome == "budget_exceeded"
    red = acting.error("run_task", prompt="just be red", check={"command": ["false"], "attempts": 0})
    told = read(red["details"], settings)
    assert told.outcome == "check_failed" and told.error is not None and told.error["details"]["check"]["runs"]  # type: ignore[index]
    never = acting.error("run_task", prompt="never sent", agent="nobody")
    assert never["code"] == "agent_not_found" and "trajectory" not in never["details"]
    before = set((settings.state_dir / "trajectories").iterdir())
    gate = Gate("held")
    model.when("go away", Gated(gate, "half", "never"))

    async def leave() -> None:
        async with Host(settings, entry_points=False) as host, anyio.create_task_group() as tasks:
            tasks.start_soon(host.invoke, "run_task", {"prompt": "go away", "directory": acting.directory})
            await anyio.to_thread.run_sync(gate.wait_reached, 30.0)
            tasks.cancel_scope.cancel()

    anyio.run(leave)
    gate.open()
    (left,) = set((settings.state_dir / "trajectories").iterdir()) - before
    gone = trajectory.read_trajectory(left)
    assert (gone.outcome, gone.result, gone.error, kinds(gone.steps)[:1]) == ("cancelled", None, None, ["prompt"])
    assert sessions_here(acting) == []


def test_both_halves_and_every_try_are_in_one_transcript(acting: Acting, settings: Settings) -> None:
    """Plan and implementation; a model that fails and the next one; a fork begins with its own prompt, not with its parent's."""
    model = acting.raw.model
    model.when("Make a plan", Text("First this."))
    model.when("according to the plan", Text("Done this."))
    done = acting.data("run_plan_and_implement", prompt="both halves", keep_sessions=True)
    both = read(done, settings)
    assert [(item.part, item.agent) for item in both.sessions] == [("plan", "plan"), ("implementation", "build")]
    assert kinds(both.steps) == ["prompt", "call", "prompt", "call"]
    kept = acting.remember(str(done["implementation"]["session_id"]))
    acting.remember(str(done["plan"]["session_id"]))
    model.when("go on from there", Text("Went on."))
    fork = read(acting.data("run_task", prompt="go on from there", parent_id=kept), settings)
    assert [step.text for step in fork.steps if not isinstance(step, ToolStep)] == ["go on from there", "Went on."]
    assert fork.sessions[0].parent_id == kept
