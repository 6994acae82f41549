"""What the client is told of each action: briefly as a tool, wholly as a resource; and the skill's text as a prompt.

Owns the words and hints; they come from the manifest, the schema files and SKILL.md, and nothing is listed by hand. Hosts put all
tools before the model in every turn, so a tool says what is needed to choose and to call it; its resource says the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from netclaw_opencode._core.documents import read_json
from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.manifest import ActionEntry, Manifest
from netclaw_opencode.manifest.plain_form import brief, envelope_schema, first_sentences, plain

RESOURCES = "opencode-driver://actions/"
"""What the address of an action's resource begins with; its name follows."""
LONGEST_DESCRIPTION = 210
"""Characters of a tool's description, its summary included."""
_BATCHES = ".batches:"
"""In the place of a handler that does nothing without the extra ``batch``."""
_BATCH_LIBRARY = "dbos"
"""What the extra ``batch`` brings and nothing else does."""

OUTPUT: JsonObject = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "action": {"type": "string"}},
    "required": ["ok", "action"],
}
"""The form of every envelope. The whole schema of an action's output takes three quarters of the list, and stands in its resource."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What a host may show before it lets a model call the tool."""

    read_only: bool
    destructive: bool
    idempotent: bool
    open_world: bool


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """An action as a client sees it."""

    name: str
    title: str
    description: str
    input_schema: JsonObject
    hints: Hints


def listed_tools(manifest: Manifest) -> Mapping[str, ToolDescription]:
    """Return the tools that a host is shown: those of an extra that is not installed would only take room before its model."""
    from importlib.util import find_spec

    has_batches = find_spec(_BATCH_LIBRARY) is not None
    return {name: tool for name, tool in tools_of(manifest).items() if has_batches or _BATCHES not in manifest.actions[name].handler}


def tools_of(manifest: Manifest) -> Mapping[str, ToolDescription]:
    """Return a tool for every action of the manifest, by name."""
    return {entry.name: _tool(entry) for entry in manifest.actions.values()}


def _tool(entry: ActionEntry) -> ToolDescription:
    reads = entry.tier == "inspect"
    return ToolDescription(
        name=entry.name,
        title=entry.name.replace("_", " ").capitalize(),
        description=first_sentences(f"{entry.summary} {entry.description}", LONGEST_DESCRIPTION),
        input_schema=brief(plain(entry.input_schema)),
        hints=Hints(
            read_only=reads,
            destructive="destructive" in entry.hints,
            # What only reads can be repeated as often as one likes.
            idempotent=reads or "idempotent" in entry.hints,
            open_world="open_world" in entry.hints,
        ),
    )


def page_of(manifest: Manifest, address: str) -> str | None:
    """All that there is to say of the action at this address, as JSON; None where there is no such address."""
    entry = manifest.actions.get(address.removeprefix(RESOURCES)) if address.startswith(RESOURCES) else None
    if entry is None:
        return None
    page = {
        "tool": entry.name,
        "summary": entry.summary,
        "description": entry.description,
        "deadline_seconds": entry.deadline_seconds,
        "input_schema": plain(entry.input_schema),
        "output_schema": envelope_schema(entry.output_schema, _error_schema()),
        "errors": list(manifest.errors_of(entry.name)),
        "examples": [{"description": item.description, "input": item.input, "data": item.output} for item in entry.examples],
    }
    return json.dumps(page, ensure_ascii=False, indent=1)


@cache
def _error_schema() -> JsonObject:
    envelope = read_json(find_bundled("schemas/result.schema.json")).value
    schema: object = envelope
    for step in ("$defs", "failure", "properties", "error"):
        schema = schema[step] if isinstance(schema, Mapping) else {}
    return schema if isinstance(schema, Mapping) else {}


def instructions_of(manifest: Manifest) -> str:
    """Return what a host puts before the model once, beside the tools."""
    return (
        f"{manifest.when_to_use} Call check_availability first. For work of more than a minute: create_session, send_message_async, "
        "then wait_for_session until done. Where an answer names a command, such as "
        "`netclaw-opencode inspect wait-for-session --session-id ID`, its third word is the tool (wait_for_session) and its flags "
        f"are the arguments. The resource {RESOURCES}TOOL describes a tool in full: every argument, every member of the answer, the "
        "error codes, examples."
    )


def prompt_of(manifest: Manifest) -> str:
    """Return the skill's text for a client of this server: SKILL.md without its head, which is for hosts that read the file."""
    tiers = "|".join(dict.fromkeys(entry.tier for entry in manifest.actions.values()))
    command = manifest.requires.get("command", "netclaw-opencode")
    return (
        "You reach what is described below by tools, not by a shell. "
        f"Each command `{command} {tiers} SOME-ACTION --some-flag VALUE` stands for a call of the tool `some_action` with the argument "
        "`some_flag`; the tool's own schema tells names and types, the resource "
        f"{RESOURCES}some_action tells all. Commands in an answer's `next` are to be read the same way. "
        "`--prompt-file` has no counterpart: give the whole prompt as `prompt`. "
        "The references are not here: tools describe themselves, and every error says what helps.\n\n"
        + _body(find_bundled("SKILL.md").read_text(encoding="utf-8"))
    )


def _body(text: str) -> str:
    """Return what follows the front matter."""
    if not text.startswith("---\n"):
        return text
    return text.partition("\n---\n")[2].lstrip("\n")


__all__ = [
    "LONGEST_DESCRIPTION",
    "OUTPUT",
    "RESOURCES",
    "Hints",
    "ToolDescription",
    "instructions_of",
    "listed_tools",
    "page_of",
    "prompt_of",
    "tools_of",
]
