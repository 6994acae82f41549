"""What lets a repository live with the check: comments, a baseline, fixes; and what each host takes.

The repositories are made here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli.app import run
from tests.support.skills import SAYS, codes, configure, make_repository, write_skill

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one right skill and one whose link leads nowhere."""
    return make_repository(tmp_path)


@pytest.fixture
def validate(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs ``skill validate`` in this process and returns exit code and stdout."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        code = run(["skill", "validate", *map(str, arguments)])
        return code, capfdbinary.readouterr().out.decode("utf-8")

    return call


# ---- comments


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("[a](gone.md) <!-- netclaw-skill: allow file_missing -->", []),
        ("<!-- netclaw-skill: allow file_missing -->\n[a](gone.md)", []),
        ("<!-- netclaw-skill: allow file_missing, anchor_missing -->\n[a](gone.md) [b](#gone)", []),
        ("<!-- netclaw-skill: allow anchor_missing -->\n[a](gone.md)", ["file_missing"]),
        ("<!-- netclaw-skill: allow file_missing -->\n\n[a](gone.md)", ["file_missing"]),
        (
            "<!-- netclaw-skill: off file_missing -->\n\n[a](gone.md)\n\n<!-- netclaw-skill: on file_missing -->\n\n[b](away.md)",
            ["file_missing"],
        ),
        ("[b](away.md)\n\n<!-- netclaw-skill: off file_missing -->\n\n[a](gone.md)", ["file_missing"]),
        ("<!-- netclaw-skill: allow file_mising -->\n[a](gone.md)", ["unknown_exception", "file_missing"]),
        ("<!-- netclaw-skill: on file_missing -->", ["unknown_exception"]),
    ],
)
def test_a_comment_makes_an_exception(body: str, left: list[str], repository: Path, validate: Run) -> None:
    """For its line or the next one, or for a block; one that means nothing is told."""
    home = write_skill(repository, "noted", f"{body}\n")
    assert codes(validate(home)[1]) == {"noted": left}


def test_frontmatter_has_comments_too(repository: Path, validate: Run) -> None:
    """In YAML's own form, at the end of the line or above it."""
    for front in ("version: 1  # netclaw-skill: allow unknown_key\n", "# netclaw-skill: allow unknown_key\nversion: 1\n"):
        assert codes(validate(write_skill(repository, "noted", front=SAYS + front))[1]) == {"noted": []}


# ---- baseline


def test_a_baseline_leaves_only_what_is_new(repository: Path, validate: Run, tmp_path: Path) -> None:
    """Lines may move; what is mended is told, and what is new fails; a baseline that is none is an error."""
    baseline = repository / "known.json"
    assert validate(repository, "--baseline", baseline)[0] == 2
    assert validate(repository, "--baseline", baseline, "--write-baseline")[0] == 0
    write_skill(repository, "wrong", "More text.\n\n[a](gone.md)\n")
    code, out = validate(repository, "--baseline", baseline)
    assert (code, codes(out), json.loads(out)["known"]) == (0, {"right": [], "wrong": []}, 1)
    write_skill(repository, "wrong", "[a](gone.md)\n[b](away.md)\n")
    code, out = validate(repository, "--baseline", baseline)
    assert code == 1 and "'away.md'" in out and "'gone.md'" not in out
    write_skill(repository, "wrong")
    code, out = validate(repository, "--baseline", baseline, "--format", "text")
    assert code == 0 and "1 of the baseline no longer found" in out
    moved = tmp_path / "elsewhere"
    shutil.copytree(repository, moved)
    write_skill(moved, "wrong", "[a](gone.md)\n")
    configure(moved, 'baseline = "known.json"')
    assert validate(moved)[0] == 0
    baseline.write_text('{"version": 9}', encoding="utf-8")
    assert validate(repository, "--baseline", baseline)[0] == 2
    assert validate(repository, "--write-baseline")[0] == 2


# ---- fixes

BROKEN = "---\r\nname: other\r\ndescription: Keeps notes: short ones.\r\nlicense: 2\r\n---\r\n\r\nKeep them: always.\r\n"
MENDED = '---\nname: notes\ndescription: "Keeps notes: short ones."\nlicense: "2"\n---\n\nKeep them: always.\n'


def test_what_is_safe_is_mended(repository: Path, validate: Run) -> None:
    """Line ends, byte order mark, quotes and the folder's name; the rest of the text and its mode stay as they are."""
    home = write_skill(repository, "notes")
    page = home / "SKILL.md"
    page.write_bytes(b"\xef\xbb\xbf" + BROKEN.encode())
    page.chmod(0o640)
    code, out = validate(home, "--fix")
    assert (code, codes(out), page.read_text(encoding="utf-8")) == (0, {"notes": []}, MENDED)
    assert (json.loads(out)["fixed"], page.stat().st_mode & 0o777, list(home.iterdir())) == (5, 0o640, [page])
    assert validate(home, "--fix", "--format", "text")[1] == f"✓ notes ({home}): nothing to fix\n"


@pytest.mark.parametrize(
    "front",
    [
        "description: Keeps notes: short ones.\n  And long ones.\n",  # quoting one of the lines would not do
        "description: {a: b}\n",
        "description: Keeps notes.\nversion: 1.0.0\n",
        "description: Keeps notes.\nallowed_tools: Read\n",
    ],
)
def test_what_could_change_the_skill_is_left(front: str, repository: Path, validate: Run) -> None:
    """Only told."""
    home = write_skill(repository, "notes", front=front)
    before = (home / "SKILL.md").read_bytes()
    assert validate(home, "--fix")[0] == 1
    assert (home / "SKILL.md").read_bytes() == before


def test_nothing_is_mended_through_a_link(repository: Path, validate: Run) -> None:
    """What lies elsewhere is not ours to write."""
    home = write_skill(repository, "notes")
    (repository / "page.md").write_bytes(BROKEN.encode())
    (home / "SKILL.md").unlink()
    (home / "SKILL.md").symlink_to("../../page.md")
    assert validate(home, "--fix")[0] == 1
    assert (repository / "page.md").read_bytes() == BROKEN.encode()


# ---- hosts and rules

READ = "Claude Code and NetClaw read 'argument-hint'; the specification has no such key"


@pytest.mark.parametrize(
    ("host", "front", "expected"),
    [
        (
            "spec",
            "argument-hint: x\n",
            [("error", "unknown_key", READ)],
        ),
        ("claude", "argument-hint: x\n", []),
        ("claude", "disable-model-invocation: true\nhooks:\n  x: y\n", []),
        ("hermes", "version: 1.0.0\nplatforms: [linux]\n", []),
        ("openclaw", 'metadata: {"openclaw": {"requires": {"bins": ["jq"]}}}\nhomepage: https://example.org\n', []),
        ("netclaw", "user-invocable: false\n", []),
        ("claude", "user_invocable: false\n", [("warning", "misspelt_key", "'user_invocable' looks like 'user-invocable'")]),
        ("claude", "allowed-tools:\n  - Read\n", []),
        (
            "openclaw,hermes",
            'metadata: {"openclaw": {"requires": {"bins": ["jq"]}, "primary_env": "X"}}\n',
            [("warning", "misspelt_key", "metadata.openclaw.primary_env looks like 'primaryEnv'")],
        ),
        ("claude", 'metadata: {"openclaw": {"primary_env": "X"}}\n', []),
        (
            "claude,spec",
            "argument-hint: x\n",
            [("error", "unknown_key", READ)],
        ),
    ],
)
def test_what_a_host_documents_is_right_there(
    host: str, front: str, expected: list[tuple[str, str, str]], repository: Path, validate: Run
) -> None:
    """And who reads a key is said where another set of rules does not know it."""
    home = write_skill(repository, "notes", front=SAYS + front)
    (package,) = json.loads(validate(home, "--for", host)[1])["packages"]
    assert [(found["severity"], found["code"], found["message"]) for found in package["findings"]] == expected


def test_no_remedy_takes_a_key_from_the_host_that_reads_it(repository: Path, validate: Run) -> None:
    """Below metadata it would be switched off."""
    home = write_skill(repository, "notes", front=SAYS + "disable-model-invocation: true\n")
    (package,) = json.loads(validate(home)[1])["packages"]
    assert (
        package["findings"][0]["remedy"]
        == "check with --for claude,netclaw,openclaw if the skill is for these; for every host, leave the key out"
    )


def test_rules_are_listed_and_explained(validate: Run) -> None:
    """With the hosts that hold them, and where each says so."""
    listed = json.loads(validate("--list-rules")[1])
    assert all(rule["summary"] and rule["remedy"] and rule["example"] and rule["hosts"] for rule in listed["rules"])
    assert all(held["source"] for rule in listed["rules"] for held in rule["hosts"].values())
    assert all(host["document"] and host["version"] for host in listed["hosts"])
    only = json.loads(validate("--list-rules", "--for", "claude")[1])["rules"]
    assert 0 < len(only) < len(listed["rules"]) and all("claude" in rule["hosts"] for rule in only)
    text = validate("--explain", "unknown_key", "--format", "text")[1]
    assert text.startswith("unknown_key: A key is not known there.") and "agentskills.io" in text and "allow unknown_key" in text
    assert "file_missing" in validate("--list-rules", "--format", "text")[1]
