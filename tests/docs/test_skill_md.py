"""SKILL.md is what its readers take it for: a valid skill, in step with the manifest, whose every command exists."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml
from skills_ref import validate  # type: ignore[import-untyped]

from netclaw_opencode.errors import CODES
from netclaw_opencode.manifest import load_manifest
from tests.docs.pages import ROOT, blocks_of, call_of, commands_of, page

SKILL = page("SKILL.md")
MANIFEST = load_manifest()
FRONTMATTER, BODY = re.fullmatch(r"---\n(.*?)\n---\n(.*)", SKILL, re.DOTALL).groups()  # type: ignore[union-attr]
COMMANDS = commands_of(BODY)
KEYS = {"name", "description", "license", "compatibility", "allowed-tools", "metadata"}

NEEDED = {
    *("check_availability", "create_session", "send_message_async", "wait_for_session", "get_session_status", "get_session_result"),
    *("run_task", "run_plan_and_implement", "list_providers", "list_sessions", "watch_events", "abort_session", "delete_session"),
    *("reply_permission", "reply_question", "stop_server", "cleanup", "recover"),
}

NEAR = r"[\s\S]{0,160}?"
"""Scanners look along a line; here a rule also reaches over the next line or two."""

# Rules that hosts are known to reject a skill by, whatever the words mean where they stand.
SCANNERS = {
    "permissions taken away": rf"\b(disabl|remov|chang|bypass)\w*{NEAR}permission",
    "rights given": rf"\b(grant|allow|enabl)\w*{NEAR}\b(root|admin|administrator|all tools)\b",
    "secrets sent": rf"\b(send|post|upload|transmit)(s|ing)?\b(?!-message){NEAR}\b(password|token|secret|credential)",
    "secrets sent, on one line": r"(send|post|upload)[^\n]*(password|token|secret|credential)",
    "secrets fetched": rf"\b(curl|wget|fetch)\b{NEAR}(password|token|secret|key)",
    "downloads": r"\b(curl|wget)\b|fetch\s*\(|https?://(?!localhost)",
    "configuration shown": rf"\b(reveal|expos|dump|print)\w*{NEAR}\bconfig",
    "rules overridden": rf"\b(override|ignore|disregard)\w*{NEAR}\b(rules?|instructions?|guidelines?)\b",
    "system prompt": r"system[\s_-]*prompt",
    "environment shown": r"printenv|\benv\s*\||os\.environ|process\.env",
    "ways up": r"\bsudo\b|chmod\s|setuid|/etc/|\.\./\.\.",
    "addresses": r"\d{1,3}(\.\d{1,3}){3}:\d",
    "unpinned installations": r"npm\s+install\s+(?![^\n]*@\d)|pip3?\s+install\s+(?![^\n]*==)",
    "roles": r"you\s+are\s+now|pretend\s+(you|to)|do\s+not\s+tell\s+the\s+user|new\s+policy",
    "code": r"^\s*(import \w|from \w+ import|def \w+\(|class \w+[:(])|```(python|py|sh|bash)\b|\b(eval|exec)\s*\(",
}


def test_the_frontmatter_has_the_six_keys_of_the_specification_and_no_other() -> None:
    """The two that every skill needs come first; values are plain text on one line."""
    read = yaml.safe_load(FRONTMATTER)
    assert list(read)[:2] == ["name", "description"]
    assert set(read) <= KEYS
    assert all(isinstance(value, str) and "\n" not in value for key, value in read.items() if key != "metadata")
    assert re.search(r'^description: "[^"\\]*"$', FRONTMATTER, re.MULTILINE), "quoted, and on one line"


def test_name_description_and_version_are_those_of_the_manifest() -> None:
    """The description says what the skill does and when to use it, in the manifest's words."""
    read = yaml.safe_load(FRONTMATTER)
    assert read["name"] == MANIFEST.name
    assert read["description"] == f"{MANIFEST.description} {MANIFEST.when_to_use}"
    assert read["metadata"] == {"version": MANIFEST.version}
    assert len(read["description"]) <= 1024 and len(read["compatibility"]) <= 500


def test_a_reader_that_goes_line_by_line_finds_each_key_once() -> None:
    """Publishers of feeds take the first line that begins with a key, nested or not."""
    for key in ("name", "description", "license"):
        assert len(re.findall(rf"^\s*{key}:", SKILL, re.MULTILINE)) == 1, key
    assert not re.findall(r"^\s*version:", SKILL, re.MULTILINE), "the version stands in metadata, under a quoted key"


def test_the_reference_validator_accepts_the_skill(tmp_path: Path) -> None:
    """In a folder of the skill's name, as a host installs it."""
    folder = tmp_path / MANIFEST.name
    folder.mkdir()
    shutil.copy(ROOT / "SKILL.md", folder)
    shutil.copytree(ROOT / "references", folder / "references")
    assert validate(folder) == []


def test_the_file_is_plain_utf8_text_and_short() -> None:
    """No byte order mark, no tabs, no carriage returns, not a link; the body is under 10,000 characters."""
    raw = (ROOT / "SKILL.md").read_bytes()
    assert not (ROOT / "SKILL.md").is_symlink()
    assert not raw.startswith(b"\xef\xbb\xbf") and b"\r" not in raw and b"\t" not in raw
    assert len(BODY) < 10_000


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_would_be_accepted(command: str) -> None:
    """It parses as the program parses it, and its arguments fit the action's schema."""
    if "--prompt-file" not in command:
        assert call_of(command) is not None


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_simple_static_command(command: str) -> None:
    """A host that approves commands by their first words must not find a pipe, a variable or a second command."""
    assert not re.search(r"[|;&<>$`\\\n]", command)
    assert re.match(r"netclaw-opencode (inspect|run|reply|server) [a-z-]+( --|$)", command)


def test_the_commands_cover_what_a_task_needs() -> None:
    """Whole jobs, the background way, continuing, thinking, events, answers, stopping: each has its command."""
    calls = [call for call in map(call_of, COMMANDS) if call is not None]
    assert {call.action for call in calls} >= NEEDED
    flags = {name for call in calls for name in call.arguments}
    assert flags >= {"parent_id", "thinking", "agent", "deadline_seconds", "until_idle"}


def test_the_table_of_errors_names_codes_that_exist() -> None:
    """And the ones for which the original skill had a remedy are among them."""
    table = BODY.split("### When a call fails")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`([a-z_]+)`", row)}
    assert named <= set(CODES)
    assert named, "the table is empty"
    wanted = {"binary_not_found", "server_unreachable", "provider_unavailable", "provider_auth", "model_not_found", "auth_failed"}
    assert named >= wanted | {"session_busy", "provider_retrying", "permission_required", "turn_timeout"}
    assert "install-opencode" in table


def test_no_phrase_that_a_hosts_scanner_rejects() -> None:
    """Scanners know words, not meanings; an innocent sentence must not keep the skill out."""
    found = {rule: [match[0] for match in re.finditer(words, SKILL, re.IGNORECASE | re.MULTILINE)] for rule, words in SCANNERS.items()}
    assert not any(found.values()), found


def test_files_that_it_names_exist_and_stand_beside_it() -> None:
    """Each link leads to a file under references/, and each file there is led to."""
    links = set(re.findall(r"\]\(([^)]+)\)", BODY))
    assert links == {f"references/{path.name}" for path in (ROOT / "references").iterdir()}


def test_a_call_that_may_last_long_is_made_in_the_background() -> None:
    """Hosts end a call after a minute: the one blocking command in steps of a task has a deadline below that."""
    blocking = [call for call in map(call_of, COMMANDS) if call is not None and call.action in ("run_task", "send_message")]
    assert blocking
    assert all(0 < float(str(call.arguments["deadline_seconds"])) <= 45 for call in blocking)


def test_blocks_hold_nothing_but_our_commands() -> None:
    """What stands in a block is there to be run."""
    for block in blocks_of(BODY):
        assert all(line in COMMANDS for line in block.text.splitlines()), block.text
