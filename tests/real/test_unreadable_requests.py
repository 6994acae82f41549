"""One request that the server cannot write down makes its list of permissions unreadable; the driver still sees and ends it (F29)."""

from __future__ import annotations

from netclaw_opencode.facts import Decision
from netclaw_opencode.offline import Text, ToolCall
from tests.real.acting import Acting

GLOB_ASKS = [{"permission": "glob", "pattern": "*", "action": "ask"}]


def test_a_request_that_breaks_the_list_is_refused_by_name_and_cleared(acting: Acting) -> None:
    """F29, nobody-waits: a glob without a path blocks /permission for its directory; refused, the list reads again."""
    acting.raw.model.when("unreadable", ToolCall("glob", {"pattern": "*"}), Text("went on"))
    session_id = acting.remember(acting.raw.create(permission=GLOB_ASKS))
    data = acting.data("send_message", session_id=session_id, prompt="unreadable", deadline_seconds=50)
    assert (data["text"], data["refused"][0]["permission"]) == ("went on", "glob")
    assert acting.raw.pending("permission") == []


def test_a_request_that_breaks_the_list_can_be_granted(acting: Acting) -> None:
    """F29: what the list cannot show, the event stream told; a policy's answer reaches the agent all the same."""
    acting.raw.model.when("unreadable", ToolCall("glob", {"pattern": "*"}), Text("went on"))
    acting.policy.decide = lambda _request: Decision("once")
    session_id = acting.remember(acting.raw.create(permission=GLOB_ASKS))
    assert acting.data("send_message", session_id=session_id, prompt="unreadable", deadline_seconds=50)["text"] == "went on"
    assert [request.permission for request in acting.policy.asked] == ["glob"]
