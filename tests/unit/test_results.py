"""The result of a turn: its evidence, the files it changed, and what it and its sub-agents used.

``read_result`` reads through a connection; here a recorded one answers, so that it is also seen what is *not* read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import anyio
import pytest

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.driver.progress import Progress
from netclaw_opencode.driver.results import TurnResult, read_result, waiting_result
from netclaw_opencode.driver.turn import Turn
from netclaw_opencode.driver.verdict import Span, Verdict, judge
from netclaw_opencode.errors import ActionFailed, DriverError, OutOfTime
from netclaw_opencode.facts import PendingRequest
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.models import ThinkingChoice
from netclaw_opencode.opencode.wire.history import History, Step
from netclaw_opencode.opencode.wire.types import FileChange, Message, ModelRef, Part, Session, Usage

SESSION = Session("ses_aaaaaaaaaaaa", "t", "/d", 1000, 1000)
PROMPT = Message("msg_100", "user", SESSION.id, 5000, (Part("prt_0", "text", "do it"),))
DIFF = FileChange("src/a.py", "modified", 1, 1, "@@ -1,1 +1,1 @@\n-a\n+b\n")


def usage(number: int) -> Usage:
    """Usage that tells calls apart."""
    return Usage(input=number, output=10 * number, reasoning=2, cache_read=3, cache_write=4, cost=0.5 * number)


def reply(number: int, *parts: Part, finish: str = "stop", of: str = SESSION.id) -> Message:
    """A complete reply to our prompt."""
    return Message(
        f"msg_{100 + number}",
        "assistant",
        of,
        5000 + number,
        parts,
        parent_id=PROMPT.id,
        completed_ms=7500,
        finish=finish,
        model=ModelRef("offline", "scripted"),
        usage=usage(number),
    )


def tool(name: str, *, status: str = "completed", metadata: dict[str, object] | None = None, **given: object) -> Part:
    """A tool part."""
    return Part(
        f"prt_{name}",
        "tool",
        tool=name,
        call_id=name,
        tool_status=status,
        title=name.title(),
        tool_input=given,
        tool_metadata=metadata or {},
    )


def wrote(path: str, content: str, *, exists: bool = False) -> Part:
    """A write, as the server reports it outside of git."""
    return tool("write", metadata={"filepath": path, "exists": exists}, filePath=path, content=content)


def edited(path: str, patch: str, additions: int, deletions: int) -> Part:
    """An edit, as the server reports it outside of git."""
    change = {"file": path, "patch": patch, "additions": additions, "deletions": deletions}
    return tool("edit", metadata={"filediff": change, "diff": patch}, filePath=path)


ANSWER = reply(9, Part("prt_9", "text", "done"))


def kept(*messages: Message) -> tuple[Step, ...]:
    """What is kept of these messages."""
    return tuple(Step.from_message(item, directory=SESSION.directory) for item in messages)


def turn_of(*messages: Message) -> Turn:
    """Our turn, with these messages of its session."""
    progress = Progress(lambda _: None, SESSION.id, PROMPT.id, clock=lambda: 0.0)
    return Turn(SESSION, PROMPT.id, 0.0, progress, cast(History, None), Span.of(PROMPT.id, kept(*messages)))


@dataclass
class Stored:
    """The messages of a sub-agent."""

    steps: tuple[Step, ...]

    async def read_newest(self) -> None:
        """They are there."""

    async def read_back_to(self, message_id: str) -> None:
        """All of them are wanted."""
        assert message_id == ""


@dataclass
class Recorded:
    """A connection that answers from what the test says, and notes what it was asked."""

    snapshots: tuple[FileChange, ...] = ()
    unreadable: DriverError | None = None
    later: list[tuple[FileChange, ...]] = field(default_factory=list)
    families: dict[str, tuple[Session, ...]] = field(default_factory=dict)
    stored: dict[str, tuple[Message, ...]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def diff(self, session: Session, *, message_id: str) -> tuple[FileChange, ...]:
        """The server's snapshots of one turn."""
        self.asked.append(f"diff {message_id}")
        if self.unreadable is not None:
            raise self.unreadable
        now, self.snapshots = self.snapshots, self.later.pop(0) if self.later else self.snapshots
        return now

    async def children(self, session: Session) -> tuple[Session, ...]:
        """Sub-agents of a session."""
        self.asked.append(f"children {session.id}")
        return self.families.get(session.id, ())

    def history(self, session: Session) -> Stored:
        """The messages of a sub-agent."""
        self.asked.append(f"messages {session.id}")
        return Stored(kept(*self.stored.get(session.id, ())))


def result_of(*replies: Message, connection: Recorded | None = None) -> TurnResult:
    """What is gathered of a turn with these replies, the last of which ended it."""
    return gathered(turn_of(PROMPT, *replies, ANSWER), connection)


def gathered(turn: Turn, connection: Recorded | None = None) -> TurnResult:
    """What is gathered of that turn, which is complete."""
    verdict = judge(turn.span)
    assert verdict.state == "completed"

    async def run() -> TurnResult:
        return await read_result(cast(Connection, connection or Recorded()), turn, verdict)

    return anyio.run(run)


def test_a_plain_answer_needs_no_further_reading() -> None:
    """Without tools no file can have changed and no sub-agent can have run: nothing more is asked of the server."""
    connection = Recorded()
    result = result_of(connection=connection)
    assert connection.asked == []
    assert (result.text, result.files, result.notes) == ("done", (), ())
    assert result.usage.usage == usage(9)
    assert (result.usage.sessions, result.usage.model_calls) == (1, 1)
    assert result.elapsed_seconds == 2.5


def test_usage_is_summed_over_the_model_calls() -> None:
    """Each step is a message of its own; the total adds all kinds of tokens."""
    wire = result_of(reply(1, tool("read"), finish="tool-calls"), reply(2, tool("read"), finish="tool-calls")).usage.to_wire()
    assert (wire["input"], wire["output"], wire["reasoning"], wire["cache_read"], wire["cache_write"]) == (12, 120, 6, 9, 12)
    assert wire["total"] == 12 + 120 + 6 + 9 + 12
    assert (wire["cost_usd"], wire["model_calls"], wire["sessions"]) == (6.0, 3, 1)


def test_sub_agents_count_at_every_depth_and_only_those_of_this_turn() -> None:
    """A parent's figures leave sub-agents out (F36), and an earlier turn's sub-agents were counted then."""
    child = Session("ses_c", "t", "/d", 6000, 6000)
    deeper = Session("ses_cc", "t", "/d", 6100, 6100)
    earlier = Session("ses_e", "t", "/d", 4000, 4000)
    connection = Recorded(
        families={SESSION.id: (earlier, child), "ses_c": (deeper,)},
        stored={
            "ses_c": (replace(PROMPT, session_id="ses_c"), reply(3, of="ses_c"), reply(4, of="ses_c")),
            "ses_cc": (reply(5, of="ses_cc"),),
            "ses_e": (reply(1000, of="ses_e"),),
        },
    )
    result = result_of(reply(1, tool("task"), finish="tool-calls"), connection=connection)
    assert result.usage.usage.input == 1 + 9 + 3 + 4 + 5
    assert (result.usage.sessions, result.usage.model_calls) == (3, 5)
    assert "messages ses_e" not in connection.asked


def test_in_git_the_servers_snapshots_are_the_truth() -> None:
    """They see shell commands too, so nothing is guessed and no note is needed."""
    connection = Recorded(snapshots=(DIFF,))
    result = result_of(reply(1, wrote("/d/other.txt", "x"), tool("bash"), finish="tool-calls"), connection=connection)
    assert connection.asked == ["diff msg_100"]
    assert result.files == (DIFF,)
    assert result.notes == ()


def test_without_git_files_come_from_the_tools_and_the_shell_is_confessed() -> None:
    """What bash changed is seen nowhere: a note says so, and only where bash ran."""
    files = result_of(reply(1, wrote("/d/new.txt", "a\nb\n"), finish="tool-calls")).files
    assert files == (FileChange("new.txt", "added", 2, 0, "--- /dev/null\n+++ new.txt\n@@ -0,0 +1,2 @@\n+a\n+b\n"),)
    with_shell = result_of(reply(1, tool("bash"), finish="tool-calls"))
    assert with_shell.files == ()
    assert len(with_shell.notes) == 1 and "shell" in with_shell.notes[0]


def test_an_overwritten_file_has_no_invented_diff() -> None:
    """What it held before is told nowhere."""
    (change,) = result_of(reply(1, wrote("/d/old.txt", "a\n", exists=True), finish="tool-calls")).files
    assert (change.status, change.diff, change.path) == ("modified", "", "old.txt")


def test_an_overwritten_file_is_told_to_be_one() -> None:
    """Its deletions and its diff are missing, and a note says so; a new file and an edited one need none."""
    over = result_of(
        reply(1, wrote("/d/old.txt", "a\n", exists=True), wrote("/d/new.txt", "b\n"), edited("/d/c.txt", "@@", 1, 0), finish="tool-calls")
    )
    assert len(over.notes) == 1 and "written over, outside a git repository: old.txt;" in over.notes[0]
    assert result_of(reply(1, wrote("/d/new.txt", "b\n"), finish="tool-calls")).notes == ()


def test_changes_of_one_file_are_told_as_one() -> None:
    """Written, then edited twice: one added file with the diffs in order."""
    patches = ["@@ one\n", "@@ two\n"]
    files = result_of(
        reply(1, wrote("/d/a.txt", "x\n"), edited("/d/a.txt", patches[0], 2, 1), finish="tool-calls"),
        reply(2, edited("/d/a.txt", patches[1], 1, 0), edited("/d/b.txt", "@@ b\n", 1, 1), finish="tool-calls"),
    ).files
    assert [(item.path, item.status, item.additions, item.deletions) for item in files] == [
        ("a.txt", "added", 4, 1),
        ("b.txt", "modified", 1, 1),
    ]
    assert files[0].diff.endswith("+x\n@@ one\n@@ two\n")


@pytest.mark.parametrize(
    "part",
    [
        replace(wrote("/d/a.txt", "x"), tool_status="error"),
        replace(wrote("/d/a.txt", "x"), tool_status="running"),
        tool("write", filePath="/d/a.txt"),
        tool("write", metadata={"filepath": 5}, content="x"),
        tool("write", metadata={"filepath": "/d/a.txt"}, content=5),
        tool("read", metadata={"filepath": "/d/a.txt"}, content="x"),
    ],
)
def test_what_did_not_write_changed_nothing(part: Part) -> None:
    """A failed, foreign or unreadable tool part names no file."""
    turn = turn_of(PROMPT, reply(1, part, finish="tool-calls"), ANSWER)
    (final,) = kept(ANSWER)

    async def run() -> TurnResult:
        return await read_result(cast(Connection, Recorded()), turn, Verdict("completed", final=final))

    assert anyio.run(run).files == ()


def test_paths_are_relative_to_the_directory_and_absolute_outside() -> None:
    """A sibling folder with the same beginning is outside."""
    files = result_of(reply(1, wrote("/d/sub/a", ""), wrote("/dd/b", ""), wrote("/else/c", ""), finish="tool-calls")).files
    assert [item.path for item in files] == ["sub/a", "/dd/b", "/else/c"]


def test_a_turn_without_a_final_message_has_no_result() -> None:
    """Asking for one is a defect of the caller, said loudly."""

    async def run() -> None:
        await read_result(cast(Connection, Recorded()), turn_of(PROMPT), Verdict("failed", "turn_incomplete"))

    with pytest.raises(ValueError, match="final message"):
        anyio.run(run)


def test_the_result_fits_its_schema_and_carries_its_evidence() -> None:
    """What send_message returns: all optional fields set, and none, both fit; the evidence names what decided."""
    schema = load_manifest().actions["send_message"].output_schema
    plain = result_of(reply(1, tool("read", status="error"), finish="tool-calls"))
    full = replace(
        plain,
        structured={"n": 1},
        thinking=ThinkingChoice(2048, "low", 1024),
        phases={"send": 0.12345},
        statuses=("busy", "idle"),
        events=7,
        files=(DIFF,),
        notes=("a note",),
        verdict=Verdict("completed", final=kept(ANSWER)[0], flag="truncated"),
    )
    assert find_problems(plain.to_wire(), schema) == ()
    assert find_problems(full.to_wire(), schema) == ()
    wire = full.to_wire()
    assert wire["evidence"] == {
        "assistant_message_id": "msg_109",
        "parent_id": "msg_100",
        "finish": "stop",
        "assistant_messages": 2,
        "statuses": ["busy", "idle"],
        "events": 7,
        "decided_by": "message_store",
    }
    assert (wire["truncated"], wire["filtered"], wire["phases"]) == (True, False, {"send": 0.123})
    assert wire["tools"] == [{"tool": "read", "status": "error", "title": "Read"}]
    assert "structured" not in plain.to_wire() and "thinking" not in plain.to_wire()


def patched(*paths: str) -> Part:
    """What the server says of a step that changed files inside a git repository."""
    return Part(f"prt_{'_'.join(paths)}", "patch", files=tuple(f"/d/{path}" for path in paths))


def test_the_sum_over_a_turn_is_waited_for_until_it_holds_every_announced_file() -> None:
    """The server sums up after each step, the last time after the answer: a sum that leaves out an announced file is not the last."""
    other = FileChange("b.py", "added", 1, 0, "+b\n")
    connection = Recorded((), later=[(DIFF,), (DIFF, other)])
    steps = reply(1, tool("bash"), patched("src/a.py"), finish="tool-calls"), reply(2, tool("bash"), patched("b.py"), finish="tool-calls")
    assert result_of(*steps, connection=connection).files == (DIFF, other)
    assert len(connection.asked) == 3


def test_a_file_that_several_steps_changed_is_read_until_two_looks_agree() -> None:
    """The file's name alone does not tell whether the sum already holds its last change."""
    last = replace(DIFF, additions=2)
    connection = Recorded((DIFF,), later=[(last,)])
    steps = (
        reply(1, tool("edit"), patched("src/a.py"), finish="tool-calls"),
        reply(2, tool("edit"), patched("src/a.py"), finish="tool-calls"),
    )
    assert result_of(*steps, connection=connection).files == (last,)
    assert len(connection.asked) == 3


def test_a_file_made_and_removed_again_ends_the_wait() -> None:
    """It is announced and never summed up; the result comes all the same."""
    connection = Recorded((DIFF,))
    assert result_of(reply(1, tool("bash"), patched("src/a.py", "gone.txt")), connection=connection).files == (DIFF,)


def test_what_was_said_before_the_answer_is_told_in_its_order() -> None:
    """Each with the message that it stands in; the answer itself is ``text``, and silence is left out."""
    first = reply(1, Part("prt_1", "text", "I look."), tool("read"), finish="tool-calls")
    wire = result_of(first, reply(2, tool("read"), finish="tool-calls")).to_wire()
    assert (wire["text"], wire["messages"]) == ("done", [{"message_id": "msg_101", "text": "I look."}])


def test_the_oldest_of_very_long_texts_are_left_out_and_counted() -> None:
    """A task of hours may write more than a caller can take."""
    texts = [reply(number, Part(f"prt_{number}", "text", "x" * 600_000), tool("read"), finish="tool-calls") for number in (1, 2)]
    wire = result_of(*texts).to_wire()
    assert [item["message_id"] for item in cast("list[dict[str, str]]", wire["messages"])] == ["msg_102"]
    assert "messages leaves out the 1 oldest texts of the turn" in cast("list[str]", wire["notes"])


def test_a_last_message_without_text_is_flagged() -> None:
    """The text is that of an earlier one (F63)."""
    spoken = reply(1, Part("prt_1", "text", "All is tidy."), tool("bash"), finish="tool-calls")
    wire = gathered(turn_of(PROMPT, spoken, reply(9))).to_wire()
    assert (wire["text"], wire["empty_final"], wire["messages"]) == ("All is tidy.", True, [])


def test_details_that_cannot_be_read_leave_a_note_and_the_result() -> None:
    """L13: the turn is known to be complete."""
    connection = Recorded(unreadable=ActionFailed("bad_response", "the server answered 500"))
    result = result_of(reply(1, tool("bash"), finish="tool-calls"), connection=connection)
    assert result.text == "done"
    assert [note for note in result.notes if "could not be read (the server answered 500)" in note]


def test_looks_that_failed_are_told() -> None:
    """L11: how many, and for how long the server could not be read."""
    turn = turn_of(PROMPT, ANSWER)
    for now in (10.0, 12.0):
        turn.failed_looks.add(OutOfTime("request_timeout", "slow"), now=now)
    turn.failed_looks.end(now=15.0)
    assert gathered(turn).notes == ("2 look(s) at the server failed while the turn ran; for 5.0 s it could not be read",)


def test_a_turn_that_waits_is_handed_back_with_what_it_did() -> None:
    """State, request, and the answer that grants nothing as the next step."""
    turn = turn_of(PROMPT, reply(1, Part("prt_1", "text", "I look."), wrote("/d/a.txt", "x"), finish="tool-calls"))
    turn.pending = (PendingRequest("permission", "per_1", SESSION.id, "/d", permission="bash", patterns=("ls",)),)
    result = waiting_result(turn)
    wire = result.to_wire()
    assert result.is_waiting
    assert (wire["state"], wire["text"], [item.path for item in result.files]) == ("waiting", "I look.", ["a.txt"])
    assert wire["next"] == f"netclaw-opencode reply reply-permission --session-id {SESSION.id} --permission-id per_1 --answer reject"
    assert find_problems(wire, load_manifest().actions["send_message"].output_schema) == ()
