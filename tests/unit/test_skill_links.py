"""What is a link, where it leads, and what is none: each false alarm and each miss of earlier checks is a row.

The skills are small and ours. A row says what ``--for spec`` finds, by severity and code.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.skill.check.config import Config
from netclaw_opencode.skill.check.markdown import parse_markdown
from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import Package
from netclaw_opencode.skill.check.repository import check_all, find

FRONT = "---\nname: my-skill\ndescription: Keeps notes. Use it when one is wanted.\n---\n"


def skill(folder: Path, body: str, files: dict[str, str] | None = None) -> Package:
    """A skill in a plugin in a repository, with further files by path from the skill."""
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    (folder / "plugin" / ".claude-plugin").mkdir(parents=True, exist_ok=True)
    home = folder / "plugin" / "skills" / "my-skill"
    home.mkdir(parents=True)
    (home / "SKILL.md").write_text(f"{FRONT}\n{body}\n", encoding="utf-8")
    for name, text in (files or {}).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Package(home, root=folder)


def found(package: Package) -> list[str]:
    """Severity and code of each finding, without advice."""
    return [f"{one.severity} {one.code}" for one in check_package(package).findings if one.severity != "advice"]


RIGHT: dict[str, tuple[str, dict[str, str]]] = {
    "placeholder-openclaw": ("[run]({baseDir}/scripts/run.sh)", {"scripts/run.sh": "true"}),
    "placeholder-claude": ("`${CLAUDE_SKILL_DIR}/scripts/run.sh` and [it](${CLAUDE_SKILL_DIR}/scripts/run.sh)", {"scripts/run.sh": "true"}),
    "placeholder-hermes": ("```bash\nnode ${HERMES_SKILL_DIR}/scripts/run.js <input>\n```", {"scripts/run.js": "1"}),
    "plugin-root": ("[all](${CLAUDE_PLUGIN_ROOT}/ALL.md)", {"../../ALL.md": "# All\n"}),
    "link-text-is-no-path": ("[scripts/old.sh](scripts/new.sh)", {"scripts/new.sh": "true"}),
    "prose": ("Keep scripts/CI/CD apart; references/and/so on.", {"scripts/a.sh": "a.sh"}),
    "glob": ("Look at `references/*.md` and `scripts/**/run.sh`.", {"references/a.md": "# A\n", "scripts/a.sh": ""}),
    "link-in-code-span": ("Write `[text](nowhere.md)`.", {}),
    "link-in-fence": ("```markdown\n[text](nowhere.md)\n```", {}),
    "link-in-indented-code": ("Text\n\n    [text](nowhere.md)", {}),
    "link-in-comment": ("<!-- [text](nowhere.md) -->", {}),
    "invented": ("[text](url), [text](link), [name](path/to/file.md), [x](./your-file.md), [y](...)", {}),
    "filled-in": ("[report](<report-{date}.md>) [run](runs/$ID/log.txt) [page](docs/<name>.md)", {}),
    "path-with-blank": ("[a](<my notes.md>) and [b](my%20notes.md)", {"my notes.md": "# A\n"}),
    "path-with-brackets": ("[a](a_(b).md)", {"a_(b).md": "# A\n"}),
    "title": ('[a](a.md "The title")', {"a.md": "# A\n"}),
    "addresses": ("[a](https://example.org/a.md) <mailto:a@example.org> [c](mcp://server/x) [d](//example.org/x.js)", {}),
    "query": ("[a](a.md?raw=true#a)", {"a.md": "# A\n"}),
    "from-the-file": ("[a](references/a.md)", {"references/a.md": "[b](b.md)\n", "references/b.md": "# B\n"}),
    "from-the-skill": ("[a](references/a.md)", {"references/a.md": "[b](references/b.md)\n", "references/b.md": "# B\n"}),
    "folder": ("[all](references/)", {"references/a.md": "# A\n"}),
    "plugin-around": ("[all](../../CONNECTORS.md)", {"../../CONNECTORS.md": "# All\n"}),
    "repository-around": ("[all](../../../docs/all.md#part)", {"../../../docs/all.md": "# All\n"}),
    "from-the-repository": ("[all](/docs/all.md)", {"../../../docs/all.md": "# All\n"}),
    "mention-in-the-repository": ("Run `scripts/build.sh`.", {"../../../scripts/build.sh": "", "scripts/own.sh": "own.sh"}),
    "mention-as-an-example": (
        "For example `scripts/rotate.py`; a `references/schema.md` would help.",
        {"scripts/a.py": "a.py", "references/a.md": "# A\n"},
    ),
    "mention-of-their-own-project": ("Look at the project's `src/scripts/build.sh` and `scripts/build.sh`.", {}),
    "anchors": (
        "[a](#step-1-read--write) [b](#step-1-read--write-1) [c](#here) [d](#top)\n\n"
        "## Step 1: Read & write\n\n## Step 1: Read & write\n\n<a id='here'></a>",
        {},
    ),
    "anchor-elsewhere": ("[a](a.md#über-uns)", {"a.md": "# Über uns\n"}),
    "line-of-code": ("[a](scripts/a.sh#L10)", {"scripts/a.sh": "true\n"}),
    "picture": ("![a](assets/a.png)", {"assets/a.png": "\x00PNG"}),
    "html-there": ('<a href="a.md">a</a> <img src="assets/a.png">', {"a.md": "# A\n", "assets/a.png": "\x00"}),
    "reference-there": ("[a][1]\n\n[1]: a.md", {"a.md": "# A\n"}),
    "undefined-reference-is-text": ("[a][1] and [x]", {}),
    "emoji-joiner": ("A family 👨‍👩‍👧 and a flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿.", {}),
    "persian-joiner": ("می‌خواهم", {}),
    "template-is-filled-in": ("Use `assets/readme.md`.", {"assets/readme.md": "[a](#part)\n\n## Part\n"}),
    "marked-section": ("<div><![if x]><![foo</div>\n\n<![CDATA[ <a href='gone.md'> ]]>", {}),
    "list-of-fences": ("1. Run:\n\n   ```sh\n   sh scripts/run.sh\n   ```", {"scripts/run.sh": "true"}),
}
WRONG: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "inline": ("[a](more.md)", {}, ["error file_missing"]),
    "picture": ("![a](assets/a.png)", {}, ["error file_missing"]),
    "reference": ("[a][more]\n\n[more]: references/more.md", {}, ["error file_missing"]),
    "href": ('<a href="more.md">a</a>', {}, ["error file_missing"]),
    "src": ('<p>\n<img alt="a" src="assets/a.png">\n</p>', {}, ["error file_missing"]),
    "in-a-table": ("| a | b |\n|---|---|\n| [a](more.md) | c |", {}, ["error file_missing"]),
    "in-a-list": ("- a\n  - [b](more.md)", {}, ["error file_missing"]),
    "in-a-heading": ("## See [a](more.md)", {}, ["error file_missing"]),
    "in-another-file": ("[a](references/a.md)", {"references/a.md": "[b](gone.md)\n"}, ["error file_missing"]),
    "two-files-on": ("[a](a.md)", {"a.md": "[b](b.md)\n", "b.md": "[c](c.md)\n"}, ["error file_missing"]),
    "out-of-the-skill": ("[a](../../CONNECTORS.md)", {}, ["error file_missing"]),
    "of-the-system": ("[a](/srv/notes.md)", {}, ["warning path_outside"]),
    "above-the-repository": ("[a](../../../../../notes.md)", {}, ["warning path_outside"]),
    "placeholder": ("[a]({baseDir}/more.md)", {}, ["error file_missing"]),
    "anchor": ("[a](#nowhere)", {}, ["warning anchor_missing"]),
    "anchor-elsewhere": ("[a](a.md#nowhere)", {"a.md": "# A\n"}, ["warning anchor_missing"]),
    "named-in-code": ("Read `references/more.md`.", {"references/other.md": "other.md"}, ["warning mention_missing"]),
    "named-in-a-command": ("```bash\npython3 scripts/run.py --x\n```", {"scripts/a.py": "a.py"}, ["warning mention_missing"]),
    "named-by-placeholder": ("Run `{baseDir}/scripts/run.sh`.", {}, ["warning mention_missing"]),
    "in-a-template": ("Use `assets/t.md`.", {"assets/t.md": "[a](CONTRIBUTING.md)\n"}, ["warning file_missing"]),
    "where-nothing-leads": ("Notes.", {"OTHER.md": "[a](gone.md)\n"}, ["warning file_missing"]),
    "only-a-comment": ("", {}, ["warning body_empty"]),
    "zero-width": ("a\u200bb", {}, ["warning invisible_character"]),
    "bidi": ("a\u202eb", {}, ["warning invisible_character"]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(name: str, tmp_path: Path) -> None:
    """No error and no warning."""
    body, files = RIGHT[name]
    assert found(skill(tmp_path, body, files)) == []


@pytest.mark.parametrize("name", WRONG)
def test_what_is_broken_is_told(name: str, tmp_path: Path) -> None:
    """Exactly that, once."""
    body, files, expected = WRONG[name]
    assert found(skill(tmp_path, body, files)) == expected


@pytest.mark.parametrize(
    ("body", "files", "line", "column", "remedy"),
    [
        ("Text\n\n- a\n- see [a](refrences/more.md)", {"references/more.md": ""}, 9, 11, "did you mean references/more.md?"),
        ("[a](more.md)", {"references/more.md": ""}, 6, 5, "did you mean references/more.md?"),
        ("one\ntwo [a][m]\n\n[m]: mor.md", {"more.md": ""}, 9, 6, "did you mean more.md?"),
        ("## Set up\n\n[a](#setup-2)", {}, 8, 5, "did you mean #set-up?"),
        ("`a`\n\n```sh\nsh scripts/rn.sh\n```", {"scripts/run.sh": "run.sh"}, 9, 4, "did you mean scripts/run.sh?"),
    ],
)
def test_a_finding_has_its_place_and_the_nearest_path(
    body: str, files: dict[str, str], line: int, column: int, remedy: str, tmp_path: Path
) -> None:
    """The line and column of the target, and the file that is most like it."""
    (one,) = [one for one in check_package(skill(tmp_path, body, files)).findings if one.severity != "advice"]
    assert (one.line, one.column, one.remedy) == (line, column, remedy)


_PIECES = [
    "<!",
    "<![",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<a href='",
    '"',
    "'",
    ">",
    "<",
    "</",
    "<img src=",
    "&#x;",
    "[a](",
    "]",
    ")",
    "![",
    "<?",
]
_PIECES += ["```", "\n", "\n\n", "# ", "    ", "|", "\\", "{baseDir}/", "scripts/a.sh", "\x00", "\u200d", "[x]: <", "%ff", "---\n", "- "]


@settings(max_examples=200, deadline=None)
@given(pieces=st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=25))
def test_any_markdown_is_taken_apart(pieces: list[str]) -> None:
    """Whatever stands in it, with places that exist."""
    text = "".join(pieces)
    page = parse_markdown(text)
    lines = text.count("\n") + 1
    places = [(link.line, link.column) for link in page.links] + [(mention.line, mention.column) for mention in page.mentions]
    assert all(1 <= line <= lines and column >= 1 for line, column in places)


def test_advice_is_what_a_copy_would_lose(tmp_path: Path) -> None:
    """A link into the plugin, and a file that nothing names."""
    package = skill(tmp_path, "[all](../../ALL.md)", {"../../ALL.md": "# All\n", "references/old.md": "# Old\n"})
    advice = {one.code: one.message for one in check_package(package).findings}
    assert advice == {
        "link_leaves_skill": "'../../ALL.md' lies in the plugin around the skill",
        "orphan_file": "no text of the skill names it",
    }


def test_a_skill_inside_another_is_its_own(tmp_path: Path) -> None:
    """Its files are not those of the skill around it, and each is checked once."""
    package = skill(tmp_path, "[inner](inner/SKILL.md)", {"inner/SKILL.md": FRONT.replace("my-skill", "inner") + "\n[a](gone.md)\n"})
    reports = check_all(find([str(tmp_path)], config=Config(), changed=False))
    assert [(report.folder.name, [one.code for one in report.findings]) for report in reports] == [
        ("my-skill", []),
        ("inner", ["file_missing"]),
    ]
    assert package.folder == reports[0].folder
