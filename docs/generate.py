"""Makes ``docs/actions.md``, ``docs/errors.md``, ``docs/facts.md``, ``references/`` and the tables of ``SKILL.md``.

They come from the manifest, its schemas, the table of error codes and the docstrings of the tests.
``python docs/generate.py`` writes them; ``--check`` only says whether they are up to date (exit code 1: they are not).
It owns their layout and not a word of their content.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from docs import generate_facts as facts  # noqa: E402
from docs.generate_codes import rule_pages  # noqa: E402
from netclaw_opencode.adapters.cli.flags import command_of, flags_of  # noqa: E402 - the checkout beside this file, not an installed copy
from netclaw_opencode.errors import CODES  # noqa: E402
from netclaw_opencode.manifest import ActionEntry, Manifest, load_manifest  # noqa: E402

Schema = Mapping[str, object]

# What an agent meets often enough to have it at hand; the others stand in references/errors.md.
AT_HAND = {
    *("binary_not_found", "server_unreachable", "server_died", "server_not_ready", "auth_failed", "turn_timeout"),
    *("session_busy", "session_waiting", "permission_required", "question_pending"),
    *("provider_unavailable", "provider_auth", "provider_error", "provider_retrying", "model_not_found", "agent_not_found"),
    *("thinking_unsupported", "invalid_input", "untrusted_project"),
}

TIERS = {
    "inspect": "only reads",
    "run": "changes something",
    "reply": "answers the agent's requests",
    "server": "starts or stops processes",
}
EXITS = {
    0: "done",
    1: "the action ran and failed",
    2: "the command line is wrong",
    3: "invalid input or manifest; nothing was sent",
    4: "refused by a safety rule; nothing was sent",
    5: "no server that can be used",
    6: "out of time; what ran was stopped",
    7: "waiting for a permission or an answer",
    130: "cancelled; what ran was stopped",
}
TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "array": "list", "object": "object"}
MADE = "<!-- Made by docs/generate.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it. -->"


def pages(manifest: Manifest) -> dict[str, str]:
    """The text of each page by its name."""
    return {
        "actions.md": "\n".join(_actions_page(manifest)) + "\n",
        "errors.md": "\n".join(_errors_page(manifest)) + "\n",
        "facts.md": facts.facts_page(),
    }


def skill_pages(manifest: Manifest, skill: str) -> dict[str, str]:
    """What an exported skill consists of, by its path in the repository; ``skill`` is the text of SKILL.md as it stands."""
    for name, rows in {"commands": _commands_table(manifest), "errors": _at_hand()}.items():
        skill = _between_marks(skill, name, "\n".join(rows))
    return {
        "SKILL.md": skill,
        "references/actions.md": "\n".join(_actions_reference(manifest)) + "\n",
        "references/errors.md": "\n".join(_errors_reference()) + "\n",
    }


def _between_marks(text: str, name: str, table: str) -> str:
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->\n"
    marks = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
    new, found = marks.subn(lambda both: f"{both[1]}{table}\n{both[2]}", text)
    if found != 1:
        raise SystemExit(f"SKILL.md: the marks {begin.strip()} and {end.strip()} must stand there once")
    return new


def _commands_table(manifest: Manifest) -> Iterator[str]:
    names = {tier: [f"`{_command(entry)}`" for entry in manifest.actions.values() if entry.tier == tier] for tier in TIERS}
    return _table(("Tier", "Effect", "Commands"), [(f"`{tier}`", meaning, ", ".join(names[tier])) for tier, meaning in TIERS.items()])


def _at_hand() -> Iterator[str]:
    rows = (row for row in CODES.values() if row.code in AT_HAND)
    return _table(("`error.code`", "What to do"), ((f"`{row.code}`", _remedy(row.remedy)) for row in rows))


def _actions_reference(manifest: Manifest) -> Iterator[str]:
    yield from ("# Every command", "", MADE, "")
    yield "Values stand behind flags only. `*`: the flag must be given. Each command has `--help`."
    for tier, meaning in TIERS.items():
        yield from ("", f"## netclaw-opencode {tier}", "", f"{meaning[0].upper()}{meaning[1:]}.", "")
        rows = ((f"`{_command(entry)}`", entry.summary, _flags(entry)) for entry in manifest.actions.values() if entry.tier == tier)
        yield from _table(("Command", "What it does", "Flags"), rows)


def _command(entry: ActionEntry) -> str:
    return entry.name.replace("_", "-")


def _flags(entry: ActionEntry) -> str:
    return ", ".join(f"`{flag.name}`{'*' if flag.required else ''}" for flag in flags_of(entry.input_schema)) or "none"


def _remedy(text: str) -> str:
    """A command is shown as one."""
    return f"`{text}`" if re.fullmatch(r"(netclaw-opencode|npm) [a-z-]+ [a-z@0-9. -]+", text) else text


def _errors_reference() -> Iterator[str]:
    yield from ("# Every error code", "", MADE, "")
    yield "`error.next` of an answer goes before the remedy here: it knows the case. Again: whether the same call may succeed later."
    yield ""
    yield from _table(
        ("`error.code`", "What happened", "What to do", "Again"),
        ((f"`{row.code}`", row.summary, _remedy(row.remedy), "yes" if row.retryable else "no") for row in CODES.values()),
    )


def _actions_page(manifest: Manifest) -> Iterator[str]:
    yield from ("# Actions", "", MADE, "")
    yield "Each action is called by its name and a JSON object, and answers with one envelope, the same through every adapter:"
    yield "`netclaw-opencode <tier> <action> --flags` on the command line, `run_action` of a host, `call` from Python. The tables of"
    yield "outputs describe `data` of a successful envelope; [errors.md](errors.md) describes the other one. The full schemas stand in"
    yield "[`schemas/actions/`](../schemas/actions/)."
    yield ""
    yield from _table(("Action", "Tier", "Deadline", "What it does"), (_overview(entry) for entry in manifest.actions.values()))
    yield ""
    yield "Tiers: " + "; ".join(f"`{tier}` {meaning}" for tier, meaning in TIERS.items()) + ". The deadline is the default one, in seconds."
    yield ""
    yield "Every action may also end with " + ", ".join(f"`{code}`" for code in manifest.common_errors) + "."
    shapes = _shapes(manifest)
    for entry in manifest.actions.values():
        yield ""
        yield from _action(entry, shapes)
    yield from ("", "## Shapes", "", "Parts of outputs that several actions share.")
    for name, shape in shapes.items():
        yield from ("", f"### {name}", "", str(shape["description"]), "")
        yield from _table(("Field", "Type", "What it is"), _output_rows(shape))


def _overview(entry: ActionEntry) -> tuple[str, ...]:
    return f"[`{entry.name}`](#{entry.name})", f"`{entry.tier}`", f"{entry.deadline_seconds:g} s", entry.summary


def _action(entry: ActionEntry, shapes: Mapping[str, Schema]) -> Iterator[str]:
    yield from (f"## {entry.name}", "", entry.description, "")
    rows = list(_input_rows(entry.input_schema))
    if rows:
        yield from _table(("Input", "Type", "Default", "What it is"), rows)
    else:
        yield "It takes no input."
    yield ""
    rest = _beyond_turn(entry.output_schema, shapes)
    if rest is not None:
        yield "Output: the fields of [turn](#turn)" + (", and" if rest["properties"] else ".")
        yield ""
    if rest is None or rest["properties"]:
        yield from _table(("Output", "Type", "What it is"), _output_rows(entry.output_schema if rest is None else rest))
        yield ""
    yield "Errors of its own: " + (", ".join(f"`{code}`" for code in entry.errors) or "none") + "."
    for example in entry.examples:
        flags = command_of(example.input, flags_of(entry.input_schema))
        yield from ("", f"{example.description}", "", "```console")
        yield f"$ netclaw-opencode {entry.tier} {entry.name.replace('_', '-')} {flags}".rstrip()
        yield from ("```", "")
        shown = example.output
        if rest is not None and entry.name != "send_message":
            shown = {name: value for name, value in shown.items() if name in _properties(rest)}
            yield "Returns what the example of [send_message](#send_message) shows" + (", and" if shown else ".")
            yield ""
        if shown:
            yield from ("```json", _json(shown), "```")


def _errors_page(manifest: Manifest) -> Iterator[str]:
    yield from ("# Errors", "", MADE, "")
    yield "A call that does not do what was asked answers with an envelope that says why, and what to do:"
    yield ""
    error = {"code": "session_busy", "message": "…", "retryable": True, "rule": "status-first", "next": "…", "details": {}}
    yield from ("```json", _json({"ok": False, "action": "send_message", "error": error}), "```", "")
    yield "`code` is stable across releases. `retryable`: the same call may succeed later without a change. `rule` (see"
    yield "[safety.md](safety.md)), `next` and `details` are there where they help. The command line ends with the exit code:"
    yield ""
    yield from _table(("Exit code", "Meaning"), ((str(code), meaning) for code, meaning in EXITS.items()))
    for exit_code, meaning in EXITS.items():
        rows = [row for row in CODES.values() if row.exit_code == exit_code]
        if rows:
            yield from ("", f"## Exit code {exit_code}: {meaning}", "")
            yield from _table(
                ("Code", "Retryable", "What happened", "What to do", "Actions"),
                ((f"`{row.code}`", "yes" if row.retryable else "no", row.summary, row.remedy, _who(row.code, manifest)) for row in rows),
            )


def _who(code: str, manifest: Manifest) -> str:
    if code in manifest.common_errors:
        return "every one"
    names = [entry.name for entry in manifest.actions.values() if code in entry.errors]
    return ", ".join(f"`{name}`" for name in names) or "none: the host or the command line says it"


def _shapes(manifest: Manifest) -> dict[str, Schema]:
    found: dict[str, Schema] = {}
    for entry in manifest.actions.values():
        found |= {name: shape for name, shape in _mapping(entry.output_schema.get("$defs")).items() if isinstance(shape, Mapping)}
    return dict(sorted(found.items()))


def _beyond_turn(schema: Schema, shapes: Mapping[str, Schema]) -> Schema | None:
    """What an output has beside the fields of a turn, or None if it is not a turn."""
    turn = _properties(shapes["turn"])
    mine = _properties(schema)
    if any(mine.get(name) != part for name, part in turn.items()):
        return None
    return {**schema, "properties": {name: part for name, part in mine.items() if name not in turn}}


def _input_rows(schema: Schema, path: str = "") -> Iterator[tuple[str, ...]]:
    for name, part in _properties(schema).items():
        if name in _required(schema):
            default = "**required**"
        else:
            default = f"`{json.dumps(part['default'])}`" if "default" in part else ""
        yield f"`{path}{name}`", _type(part), default, str(part["description"])
        yield from _input_rows(part, f"{path}{name}.")


def _output_rows(schema: Schema, path: str = "") -> Iterator[tuple[str, ...]]:
    for name, part in _properties(schema).items():
        optional = "" if name in _required(schema) else " (optional)"
        yield f"`{path}{name}`{optional}", _type(part), str(part["description"])
        yield from _output_rows(part, f"{path}{name}.")
        yield from _output_rows(_mapping(part.get("items")), f"{path}{name}[].")


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in schema:
        choices = schema["enum"]
        return " or ".join(f"`{choice}`" for choice in (choices if isinstance(choices, Sequence) else []))
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_type(_mapping(schema.get('items')))}"
    low = f">= {schema['minimum']}" if schema.get("minimum") else f"> {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else ""
    high = f"<= {schema['maximum']}" if "maximum" in schema else ""
    return ", ".join(part for part in (TYPES.get(kind, "text or object"), low, high) if part)


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> Iterator[str]:
    for row in (tuple(head), ("---",) * len(head), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def _json(value: object, indent: int = 0) -> str:
    """JSON that keeps small things on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= 120 or not isinstance(value, (dict, list)):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{pad}{json.dumps(name)}: {_json(part, indent + 2)}" for name, part in value.items()]
        return "{\n" + ",\n".join(inner) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _json(part, indent + 2) for part in value) + "\n" + " " * indent + "]"


def _properties(schema: Schema) -> dict[str, Schema]:
    return {name: part for name, part in _mapping(schema.get("properties")).items() if isinstance(part, Mapping)}


def _required(schema: Schema) -> Sequence[object]:
    names = schema.get("required")
    return names if isinstance(names, list) else []


def _mapping(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with ``--check`` compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/actions.md, docs/errors.md, references/ and the tables of SKILL.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page is out of date")
    check = parser.parse_args(arguments).check
    stale = False
    manifest = load_manifest()
    skill = (ROOT / "SKILL.md").read_text(encoding="utf-8")
    made = {f"docs/{name}": text for name, text in pages(manifest).items()} | skill_pages(manifest, skill)
    made |= rule_pages()
    for name, text in made.items():
        page = ROOT / name
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale = True
        sys.stderr.write(f"{name} {'is out of date: run python docs/generate.py' if check else 'written'}\n")
        if not check:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
