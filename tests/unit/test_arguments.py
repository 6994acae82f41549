"""Arguments that passed their schema: read with types and defaults, and what a schema cannot say is checked here.

The catalogue and the agents come from a recorded connection, so that it is also seen what is *not* asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import anyio
import pytest

from netclaw_opencode.actions import arguments as read
from netclaw_opencode.driver.turns import Prompt
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.opencode.connection import Connection
from netclaw_opencode.opencode.models import Catalogue
from netclaw_opencode.opencode.wire.types import Model, ModelRef, Provider
from netclaw_opencode.settings import Settings

ID = "ses_aaaaaaaaaaaa"
THINKER, PLAIN = ModelRef("offline", "thinker"), ModelRef("offline", "plain")
MODELS = {
    "thinker": Model("thinker", "offline", "T", {"low": {"budgetTokens": 1000}, "high": {"budgetTokens": 9000}}, 1, 1, True, True),
    "plain": Model("plain", "offline", "P", {}, 1, 1, False, True),
}
THINK = {"type": "enabled", "budget_tokens": 8000}


@dataclass
class Recorded:
    """A connection that knows two models and one agent."""

    default: ModelRef | None = THINKER
    asked: list[str] = field(default_factory=list)

    async def catalogue(self, directory: str) -> Catalogue:
        """The models of a directory."""
        self.asked.append(f"catalogue {directory}")
        return Catalogue((Provider("offline", "Offline", MODELS),), self.default)

    async def require_agent(self, name: str, *, directory: str) -> None:
        """Only "build" is known."""
        self.asked.append(f"agent {name} {directory}")
        if name != "build":
            raise InvalidInput("agent_not_found", name)


def prompt(
    arguments: dict[str, object],
    *,
    model: ModelRef | None = None,
    session_model: ModelRef | None = None,
    connection: Recorded | None = None,
) -> Prompt:
    """The prompt of a call."""

    async def run() -> Prompt:
        recorded = cast(Connection, connection or Recorded())
        return await read.prompt(recorded, {"prompt": "p", **arguments}, directory="/d", model=model, session_model=session_model)

    return anyio.run(run)


def test_values_are_read_with_their_defaults() -> None:
    """What is absent, or of another type, is the default."""
    given = {"t": "text", "n": 7, "s": 1.5, "yes": True, "no": False, "odd": [1]}
    assert (read.text(given, "t"), read.text(given, "none"), read.text(given, "n")) == ("text", None, None)
    assert read.required_text(given, "t") == "text"
    assert (read.seconds(given, "s", 9), read.seconds(given, "n", 9), read.seconds(given, "none", 9), read.seconds(given, "odd", 9)) == (
        1.5,
        7,
        9,
        9,
    )
    assert (read.integer(given, "n", 3), read.integer(given, "none", 3), read.integer(given, "odd", 3)) == (7, 3, 3)
    assert read.flag(given, "yes") and not read.flag(given, "no") and not read.flag(given, "none")
    assert read.flag(given, "none", default=True) and not read.flag(given, "no", default=True) and not read.flag(given, "t")


def test_ids_are_checked_under_their_own_name() -> None:
    """Absent is None only where the id is optional."""
    assert read.session_id({"session_id": ID}) == ID
    assert read.optional_id({}, "parent_id") is None
    assert read.optional_id({"parent_id": ID}, "parent_id") == ID
    wrongs: tuple[dict[str, object], ...] = ({}, {"session_id": "../x"}, {"session_id": None})
    for wrong in wrongs:
        with pytest.raises(InvalidInput, match="session_id"):
            read.session_id(wrong)
    with pytest.raises(InvalidInput, match="parent_id"):
        read.optional_id({"parent_id": None}, "parent_id")


def test_the_directory_is_the_calls_or_the_configured_one(tmp_path: Path) -> None:
    """Either is checked: absolute, there, a folder; links are resolved as the server does."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    settings = Settings(directory=str(tmp_path))
    assert read.directory({}, settings) == str(tmp_path.resolve())
    assert read.directory({"directory": str(tmp_path / "link")}, settings) == str((tmp_path / "real").resolve())
    for wrong in ("relative/x", str(tmp_path / "none"), str(tmp_path / "file"), f"{tmp_path}\n", f"{tmp_path}\0"):
        with pytest.raises(InvalidInput, match="directory"):
            read.directory({"directory": wrong}, settings)
        with pytest.raises(InvalidInput, match="directory"):
            read.directory({}, Settings(directory=wrong))


def test_the_model_is_the_calls_the_configured_one_or_none() -> None:
    """None means the server's own default."""
    assert read.model({"model": "offline/plain"}, Settings(model="offline/thinker")) == PLAIN
    assert read.model({}, Settings(model="offline/thinker")) == THINKER
    assert read.model({}, Settings()) is None
    assert read.model({"plan_model": "offline/plain"}, Settings(), name="plan_model") == PLAIN


def test_a_plain_prompt_asks_the_server_for_nothing() -> None:
    """Without model, thinking and agent there is nothing to check beforehand."""
    connection = Recorded()
    assert prompt({"system": "be brief"}, connection=connection) == Prompt("p", system="be brief")
    assert connection.asked == []


def test_a_named_model_must_be_known() -> None:
    """The server would take an unknown one and run nothing (F15)."""
    assert prompt({}, model=PLAIN).model == PLAIN
    with pytest.raises(InvalidInput, match="no connected provider"):
        prompt({}, model=ModelRef("offline", "nosuch"))


@pytest.mark.parametrize(
    ("model", "session_model", "default", "used"),
    [(THINKER, PLAIN, PLAIN, THINKER), (None, THINKER, PLAIN, THINKER), (None, None, THINKER, THINKER)],
)
def test_thinking_is_for_the_model_that_will_run(
    model: ModelRef | None, session_model: ModelRef | None, default: ModelRef, used: ModelRef
) -> None:
    """The call's, else the session's, else the server's default; model and variant are then sent together."""
    found = prompt({"thinking": THINK}, model=model, session_model=session_model, connection=Recorded(default))
    assert found.model == used
    assert found.thinking is not None and found.thinking.variant == "high"
    assert found.body(message_id="msg_1", part_id="prt_1") == {
        "messageID": "msg_1",
        "parts": [{"id": "prt_1", "type": "text", "text": "p"}],
        "model": {"providerID": "offline", "modelID": "thinker"},
        "variant": "high",
    }


def test_thinking_that_cannot_be_honoured_is_refused() -> None:
    """A model without variants, or no model to ask (F13)."""
    for model, connection in ((PLAIN, Recorded()), (None, Recorded(PLAIN)), (None, Recorded(None))):
        with pytest.raises(InvalidInput) as caught:
            prompt({"thinking": THINK}, model=model, connection=connection)
        assert caught.value.code == "thinking_unsupported"


def test_turning_off_what_is_not_there_changes_nothing() -> None:
    """No variant is sent, and the model stays the one that was asked for: none."""
    found = prompt({"thinking": {"type": "disabled"}}, connection=Recorded(PLAIN))
    assert (found.thinking, found.model) == (None, None)


def test_an_agent_must_be_known_in_that_directory() -> None:
    """Agents are defined per directory."""
    connection = Recorded()
    assert prompt({"agent": "build"}, connection=connection).agent == "build"
    assert connection.asked == ["agent build /d"]
    with pytest.raises(InvalidInput):
        prompt({"agent": "nobody"})


def test_an_output_schema_is_checked_before_anything_is_sent() -> None:
    """A broken one is the caller's mistake, told as such; a good one reaches the model as an instruction."""
    schema = {"type": "object", "properties": {"n": {"type": "number"}}}
    found = prompt({"output_schema": schema, "system": "be brief"})
    system = found.body(message_id="msg_1", part_id="prt_1")["system"]
    assert found.output_schema == schema
    assert isinstance(system, str) and system.startswith("be brief\n\n") and '"number"' in system
    for wrong in ({"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/schema"}):
        with pytest.raises(InvalidInput, match="output_schema"):
            prompt({"output_schema": wrong})


def test_a_new_session_works_in_a_project_and_not_in_the_system(tmp_path: Path) -> None:
    """Roots that were named are the only places; without them the system's folders and the bare home are none (S28)."""
    (tmp_path / "project" / "sub").mkdir(parents=True)
    (tmp_path / "project-2").mkdir()
    (tmp_path / "project" / "out").symlink_to(tmp_path / "project-2")
    inside, beside = str(tmp_path / "project" / "sub"), str(tmp_path / "project-2")
    rooted = Settings(roots=(tmp_path / "project",))
    assert read.workplace({"directory": inside}, rooted) == str(Path(inside).resolve())
    assert read.workplace({"directory": beside}, Settings()) == str(Path(beside).resolve())
    home = Settings(environ={"HOME": str(tmp_path)})
    for directory, settings in (
        (beside, rooted),
        (str(tmp_path / "project" / "out"), rooted),
        ("/", Settings()),
        ("/usr", Settings()),
        (str(tmp_path), home),
    ):
        with pytest.raises(InvalidInput, match=r"OPENCODE_DRIVER_ROOTS|project"):
            read.workplace({"directory": directory}, settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": "ü" * (512 * 1024 + 1)},
        {"prompt": "p", "system": "x" * (1024 * 1024 + 1)},
        {"prompt": "p", "model": "gpt-5"},
        {"prompt": "p", "plan_model": "gpt-5"},
        {"prompt": "p", "fallback_models": ["offline/plain", "gpt-5"]},
        {"prompt": "p", "output_schema": {"type": "nonsense"}},
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_schema_cannot_say_is_refused_before_anything_is_sent(wrong: dict[str, object]) -> None:
    """Sizes in bytes and not in characters (B11), the form of every model (B16), a schema that is none."""
    read.require_sound({"prompt": "ü" * (512 * 1024), "model": "offline/plain", "fallback_models": ["a/b"]}, Settings())
    with pytest.raises(InvalidInput):
        read.require_sound(wrong, Settings())
