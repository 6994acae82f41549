"""``--for spec`` and the specification's own validator (skills-ref), run on the same skills: they agree on what is an error.

What the validator refuses is an error here. What it takes is none here, unless the specification's text forbids it (listed), or a
file of the skill is broken, which the validator does not look at.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skills_ref import validate  # type: ignore[import-untyped]

from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import Package

BODY = "\n# Notes\n\nKeep them.\n"


def page(*lines: str, body: str = BODY) -> str:
    """A page with these lines of frontmatter."""
    return "\n".join(["---", *lines, "---"]) + body


NAME, SAYS = "name: my-skill", "description: Keeps notes. Use it when one is wanted."
PAGES = {
    "minimal": page(NAME, SAYS),
    "all-keys": page(
        NAME, SAYS, "license: MIT", "compatibility: Needs git", "allowed-tools: Read Bash(git:*)", "metadata:", '  version: "1"'
    ),
    "quoted": page("name: 'my-skill'", 'description: "Keeps notes: short ones."'),
    "folded": page(NAME, "description: >-", "  Keeps notes.", "  Use it when one is wanted."),
    "literal": page(NAME, "description: |", "  Keeps notes.", "  Use it when one is wanted."),
    "over-two-lines": page(NAME, "description: Keeps notes.", "  Use it when one is wanted."),
    "comment": page("# ours", NAME, f"{SAYS}  # short"),
    "metadata-number": page(NAME, SAYS, "metadata:", "  version: 1.0"),
    "metadata-nested": page(NAME, SAYS, "metadata:", "  hermes:", "    tags:", "      - notes"),
    "metadata-empty": page(NAME, SAYS, "metadata:"),
    "tools-list": page(NAME, SAYS, "allowed-tools:", "  - Read", "  - Bash"),
    "license-list": page(NAME, SAYS, "license:", "  - MIT"),
    "description-number": page(NAME, "description: 12"),
    "description-null": page(NAME, "description: null"),
    "description-true": page(NAME, "description: true"),
    "description-date": page(NAME, "description: 2026-01-01"),
    "exactly-1024": page(NAME, f"description: {'x' * 1024}"),
    "compatibility-500": page(NAME, SAYS, f"compatibility: {'x' * 500}"),
    "compatibility-number": page(NAME, SAYS, "compatibility: 3"),
    "windows-lines": page(NAME, SAYS).replace("\n", "\r\n"),
    "no-body": page(NAME, SAYS, body="\n"),
    "emoji": page(NAME, "description: Keeps notes 👩‍💻."),
    "tag": page(NAME, "description: Keeps <b>notes</b>."),
    "long": page(NAME, SAYS, body="\n" + "x\n" * 900),
    # errors
    "no-frontmatter": "# Notes\n",
    "empty": "",
    "blank-line-first": "\n" + page(NAME, SAYS),
    "not-closed": "---\nname: my-skill\n",
    "no-map": page("- name"),
    "only-text": page("notes"),
    "nothing-between": page(),
    "no-name": page(SAYS),
    "no-description": page(NAME),
    "empty-name": page("name:", SAYS),
    "empty-description": page(NAME, "description:"),
    "blank-description": page(NAME, 'description: "  "'),
    "1025": page(NAME, f"description: {'x' * 1025}"),
    "description-list": page(NAME, "description:", "  - a"),
    "description-map": page(NAME, "description:", "  a: b"),
    "upper-case": page("name: My-Skill", SAYS),
    "underscore": page("name: my_skill", SAYS),
    "two-hyphens": page("name: my--skill", SAYS),
    "hyphen-first": page("name: -my-skill", SAYS),
    "blank": page("name: my skill", SAYS),
    "other-folder": page("name: other", SAYS),
    "name-number": page("name: 5", SAYS),
    "name-list": page("name:", "  - my-skill", SAYS),
    "long-name": page(f"name: {'x' * 65}", SAYS),
    "compatibility-501": page(NAME, SAYS, f"compatibility: {'x' * 501}"),
    "compatibility-map": page(NAME, SAYS, "compatibility:", "  a: b"),
    "version": page(NAME, SAYS, "version: 1.0.0"),
    "argument-hint": page(NAME, SAYS, 'argument-hint: "[issue]"'),
    "hooks": page(NAME, SAYS, "hooks:", "  x: y"),
    "colon": page(NAME, "description: Keeps notes: short ones."),
    "two-names": page(NAME, NAME, SAYS),
    "flow-map": page(NAME, SAYS, 'metadata: {"a": "b"}'),
    "flow-map-below": page(NAME, SAYS, "metadata:", '  {"a": "b"}'),
    "flow-list": page(NAME, SAYS, "allowed-tools: [Read, Bash]"),
    "empty-flow": page(NAME, SAYS, "metadata: {}"),
    "anchor": page(NAME, "description: &x Keeps notes."),
    "alias": page(NAME, "description: &x Keeps notes.", "license: *x"),
    "tag-of-yaml": page(NAME, "description: !!str Keeps notes."),
    "merge": page(NAME, SAYS, "metadata:", "  <<: *x"),
    "tab": page(NAME, SAYS, "metadata:", "\ta: b"),
    "open-quote": page(NAME, 'description: "Keeps notes.'),
    "at-sign": page(NAME, "description: @notes"),
    "backquote": page(NAME, "description: `notes` are kept"),
    "byte-order-mark": "\ufeff" + page(NAME, SAYS),
    "dashes": page(NAME, "description: Keeps notes --- short ones."),
    "dashes-early": page("license: a---b", NAME, SAYS),
    "indent": page(NAME, SAYS, "metadata:", "  a:", "    b: c", "  d:", "      e: f"),
    "second-document": page(NAME, SAYS, "...", "x: y"),
    "key-is-a-list": page(NAME, SAYS, "? [a]", ": b"),
    "deep": page(NAME, SAYS, "metadata:", *(f"{'  ' * level}a:" for level in range(1, 70))),
}
# The specification's text forbids these; its validator lets them pass.
BY_THE_TEXT = {
    "compatibility-empty": page(NAME, SAYS, 'compatibility: ""'),
    "metadata-list": page(NAME, SAYS, "metadata:", "  - a"),
    "metadata-text": page(NAME, SAYS, "metadata: a"),
    "tools-map": page(NAME, SAYS, "allowed-tools:", "  Read: 'yes'"),
}


def verdicts(folder: Path, text: str) -> tuple[list[str], list[str]]:
    """The errors of the validator, and ours."""
    skill = folder / "my-skill"
    skill.mkdir(exist_ok=True)
    (skill / "SKILL.md").write_bytes(text.encode("utf-8"))
    ours = [found.code for found in check_package(Package(skill)).findings if found.severity == "error"]
    try:
        theirs = validate(skill)
    except Exception as error:  # noqa: BLE001 - its YAML reader gives up on some texts, which is no yes
        theirs = [repr(error)]
    return theirs, ours


@pytest.mark.parametrize("name", PAGES)
def test_both_agree(name: str, tmp_path: Path) -> None:
    """An error for the one is an error for the other."""
    theirs, ours = verdicts(tmp_path, PAGES[name])
    if name == "deep":
        assert ours == ["too_deep"]  # more levels than any reader takes
    else:
        assert bool(theirs) == bool(ours), (theirs, ours)


@pytest.mark.parametrize("name", BY_THE_TEXT)
def test_what_the_text_forbids_is_an_error(name: str, tmp_path: Path) -> None:
    """Though the validator does not look at it."""
    theirs, ours = verdicts(tmp_path, BY_THE_TEXT[name])
    assert not theirs and ours


_LINES = sorted({line for text in PAGES.values() for line in text.split("\n") if len(line) < 100})


@settings(max_examples=120, deadline=None)
@given(lines=st.lists(st.sampled_from(_LINES) | st.text(max_size=12), max_size=9), front=st.booleans())
def test_what_the_validator_refuses_is_never_right_here(lines: list[str], front: bool) -> None:
    """Any mixture of such lines, and any text between them."""
    text = page(*lines) if front else "\n".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = verdicts(Path(folder), text.encode("utf-8", "replace").decode())
    assert ours or not theirs, (text, theirs)
