"""What the agent asks for, put to the user of an MCP client: by elicitation where the client can, as a waiting state where it cannot."""

from __future__ import annotations

from pathlib import Path

import anyio
import mcp_types as types
import pytest

from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.support.mcp_client import connected

pytestmark = pytest.mark.real

STRAY = ToolCall("read", {"filePath": "/etc/hostname"})
QUESTION = ToolCall(
    "question",
    {"questions": [{"question": "Which colour?", "header": "Colour", "options": [{"label": "Red", "description": ""}]}]},
)


@pytest.fixture
def environ(opencode_server: OpenCodeServer, tmp_path: Path, place: Path, scripted: OfflineModel, leak_check: LeakCheck) -> dict[str, str]:
    """What a host's configuration lists."""
    assert not scripted.calls
    leak_check.watch(place)
    return {
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        "OPENCODE_DRIVER_DIRECTORY": str(place),
        "HOME": str(tmp_path),
    }


def test_a_user_grants_and_answers(environ: dict[str, str], scripted: OfflineModel) -> None:
    """A permission and then a question are put to the user, one after the other, and the call goes on to its end."""
    scripted.when("ask the user", STRAY, QUESTION, Text("as you wish"))
    asked: list[str] = []

    async def answer(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        assert isinstance(params, types.ElicitRequestFormParams)
        asked.append(params.message)
        chosen: dict[str, str | int | float | bool | list[str] | None] = (
            {"answer": "once"} if "permission" in params.message else {"answer_1": "Red"}
        )
        return types.ElicitResult(action="accept", content=chosen)

    async def main() -> None:
        async with connected(environ, elicitation=answer) as client:
            result = await client.call_tool("run_task", {"prompt": "ask the user", "on_request": "return"})
        assert result.structured_content is not None and not result.is_error, result
        data = result.structured_content["data"]
        assert (data["state"], data["text"], data["session_kept"]) == ("completed", "as you wish", False)

    anyio.run(main)
    assert ["external_directory" in asked[0], "Which colour?" in asked[1]] == [True, True]


@pytest.mark.parametrize("can_ask", [True, False])
def test_a_user_who_does_not_answer(environ: dict[str, str], scripted: OfflineModel, *, can_ask: bool) -> None:
    """A form that is closed, or a client that has none: the waiting state is the answer, and the turn stays."""
    scripted.when("ask nobody", STRAY, Text("never"))

    async def close(context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="cancel")

    async def main() -> None:
        async with connected(environ, elicitation=close if can_ask else None) as client:
            result = await client.call_tool("run_task", {"prompt": "ask nobody", "on_request": "return"})
            assert result.structured_content is not None
            data = result.structured_content["data"]
            assert (data["state"], data["pending"][0]["permission"]) == ("waiting", "external_directory")
            deleted = await client.call_tool("delete_session", {"session_id": data["session_id"]})
            assert not deleted.is_error

    anyio.run(main)
