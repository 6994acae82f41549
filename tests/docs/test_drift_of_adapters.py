"""From ``skill.yaml`` to every adapter and page that lists the actions: each action is on each, and none stands there alone.

Owns the list of those places. An adapter that is offered by an optional library is read without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import click
import pytest

from netclaw_opencode import hermes
from netclaw_opencode.adapters.cli import app
from netclaw_opencode.adapters.cli.catalogue import TIERS
from netclaw_opencode.adapters.cli.flags import flags_of
from netclaw_opencode.adapters.cli.views import VIEWS
from netclaw_opencode.adapters.mcp.tools import tools_of
from netclaw_opencode.errors import CODES
from netclaw_opencode.host import Host
from netclaw_opencode.manifest import load_manifest
from tests.docs.pages import page

MANIFEST = load_manifest()
ACTIONS = {entry.name: entry.tier for entry in MANIFEST.actions.values()}
HERE = {"actions"}
"""What has a view and is no action: the commands of the command line itself."""


def commands() -> dict[str, str]:
    """The action commands, with the group each stands in."""
    found: dict[str, str] = {}
    for tier in TIERS:
        group = app._root().commands[tier]
        assert isinstance(group, click.Group)
        beside = app.BESIDE_ACTIONS.get(tier, ())
        found |= {name.replace("-", "_"): tier for name in group.list_commands(click.Context(group)) if name not in beside}
    return found


def registered() -> dict[str, str]:
    """What a host offers once the skill is loaded."""
    actions = Host(entry_points=False).registry.actions
    return {name: action.tier for name, action in actions.items()}


def mcp_tools() -> dict[str, str]:
    """The tools of the MCP server; what a tool may do is told by its hints."""
    reading = {name for name, tool in tools_of(MANIFEST).items() if tool.hints.read_only}
    return {name: "inspect" if name in reading else ACTIONS.get(name, "?") for name in tools_of(MANIFEST)}


class Offered:
    """Takes what the Hermes plugin registers, and offers none of the host's own things."""

    def __init__(self) -> None:
        self.tools: dict[str, Mapping[str, object]] = {}

    def register_tool(self, *, name: str, schema: dict[str, object], **_: object) -> None:
        self.tools[name] = schema

    def register_skill(self, **_: object) -> None:
        return

    def register_command(self, **_: object) -> None:
        return


def hermes_schemas() -> Mapping[str, Mapping[str, object]]:
    """The tools of the Hermes plugin by the action behind each."""
    offered = Offered()
    hermes.register(offered)
    return {name.removeprefix(hermes.PREFIX): schema for name, schema in offered.tools.items()}


def hermes_tools() -> dict[str, str]:
    """The same; a tool there has no tier of its own."""
    return {name: ACTIONS.get(name, "?") for name in hermes_schemas()}


def skill_table() -> dict[str, str]:
    """The table of commands in SKILL.md."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", page("SKILL.md").split("### All commands")[1].split("\n## ")[0], re.MULTILINE)
    return {name.replace("-", "_"): tier for tier, names in rows for name in re.findall(r"`([a-z-]+)`", names)}


def reference() -> dict[str, str]:
    """The tables of ``references/actions.md``, one for each tier."""
    chapters = re.findall(r"^## netclaw-opencode (\w+)\n(.*?)(?=^## |\Z)", page("references/actions.md"), re.MULTILINE | re.DOTALL)
    return {name.replace("-", "_"): tier for tier, text in chapters for name in re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)}


def overview() -> dict[str, str]:
    """The table at the head of ``docs/actions.md``."""
    return dict(re.findall(r"^\| \[`(\w+)`\]\(#\w+\) \| `(\w+)` \|", page("docs/actions.md"), re.MULTILINE))


def chapters() -> dict[str, str]:
    """The chapters of ``docs/actions.md``, by the command that each shows."""
    shown = re.findall(r"^\$ netclaw-opencode (\w+) ([a-z-]+)", page("docs/actions.md"), re.MULTILINE)
    return {name.replace("-", "_"): tier for tier, name in shown}


PLACES: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "the command line": commands,
    "a host": registered,
    "the MCP server": mcp_tools,
    "the Hermes plugin": hermes_tools,
    "SKILL.md": skill_table,
    "references/actions.md": reference,
    "docs/actions.md, its table": overview,
    "docs/actions.md, its chapters": chapters,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_action_is_there_with_its_tier_and_none_more(place: str) -> None:
    """Names and tiers are those of ``skill.yaml``."""
    assert dict(PLACES[place]()) == ACTIONS


def test_every_action_has_a_view_and_every_view_an_action() -> None:
    """A result is shown to people in a form of its own."""
    assert set(VIEWS) - HERE == set(ACTIONS)


def test_the_reference_names_every_flag_of_every_command() -> None:
    """With the mark where it must be given."""
    text = page("references/actions.md")
    for entry in MANIFEST.actions.values():
        (row,) = re.findall(rf"^\| `{entry.name.replace('_', '-')}` \|.*$", text, re.MULTILINE)
        assert [flag.name for flag in flags_of(entry.input_schema) if f"`{flag.name}`{'*' if flag.required else ''}" not in row] == []


def test_the_inputs_of_the_mcp_tools_are_those_of_the_actions() -> None:
    """No tool takes more or less than its action."""
    for name, tool in tools_of(MANIFEST).items():
        assert set(tool.input_schema["properties"]) == set(MANIFEST.actions[name].input_schema["properties"])  # type: ignore[call-overload]


def test_the_inputs_of_the_hermes_tools_are_those_of_the_actions() -> None:
    """No tool takes more or less than its action, and each tells its own name."""
    for name, schema in hermes_schemas().items():
        assert schema["name"] == hermes.PREFIX + name
        assert set(schema["parameters"]["properties"]) == set(MANIFEST.actions[name].input_schema["properties"])  # type: ignore[index, call-overload]


def test_the_error_tables_hold_every_code_and_no_other() -> None:
    """``docs/errors.md`` and ``references/errors.md`` are the table in ``errors.py``."""
    for name in ("docs/errors.md", "references/errors.md"):
        assert set(re.findall(r"^\| `([a-z_]+)` \|", page(name), re.MULTILINE)) == set(CODES)
