"""``skill validate`` over whole repositories: what is found where, what cannot be read, how it is summed up, the configuration.

The repositories are made here. Folders that cannot be read need a user who is not root: where the tests run as root, the check is run
with the rights of nobody for that one call.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.skill.check.config import Config, ConfigurationError, find_config, matches, read_config
from netclaw_opencode.skill.check.repository import check_all, find
from tests.support.skills import codes, configure, make_repository, write_skill

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


# ---- whole repositories


def test_skills_are_found_at_every_depth(repository: Path, validate: Run) -> None:
    """Hidden folders of agents too; not those of version control and of dependencies, and not another tool's skill.yaml."""
    write_skill(repository, "deep", folder="a/b/c/skills")
    write_skill(repository, "hidden", folder=".claude/skills")
    for folder in (".git", "node_modules/x", ".venv/lib", "a/node_modules"):
        write_skill(repository, "theirs", folder=folder)
    (repository / "tool").mkdir()
    (repository / "tool" / "skill.yaml").write_text("name: something-else\n", encoding="utf-8")
    code, out = validate(repository)
    assert (code, codes(out)) == (1, {"hidden": [], "deep": [], "right": [], "wrong": ["file_missing"]})


def test_a_template_is_passed_over(repository: Path, validate: Run) -> None:
    """It is copied under another name; that it was is said, and named it is checked."""
    home = write_skill(repository, "template", front="description: x\nversion: 1\n", folder=".")
    code, out = validate(repository, "--format", "text", "--ignore", "file_missing")
    assert code == 0 and out.splitlines()[-1] == "passed over as a template: template"
    assert codes(validate(home)[1]) == {"template": ["unknown_key"]}


def test_a_lower_case_page_is_one(repository: Path, validate: Run) -> None:
    """As the specification's validator reads it."""
    home = write_skill(repository, "lower")
    (home / "SKILL.md").rename(home / "skill.md")
    assert codes(validate(home)[1]) == {"lower": []}


def test_two_skills_of_one_name_are_told(repository: Path, validate: Run) -> None:
    """Below one root of skills; two plugins may each have one."""
    write_skill(repository, "right", folder="skills/more")
    for plugin in ("a", "b"):
        write_skill(repository, "same", folder=f"plugins/{plugin}/skills")
    report = json.loads(validate(repository)[1])
    found = [
        (package["path"], one["message"])
        for package in report["packages"]
        for one in package["findings"]
        if one["code"] == "duplicate_skill"
    ]
    assert [message for _, message in found] == ["right has the same name: 'right'", "more/right has the same name: 'right'"]


def test_processes_beside_each_other_find_the_same(repository: Path) -> None:
    """In the same order."""
    for number in range(12):
        write_skill(repository, f"skill-{number}", f"[a]({number}.md)\n")
    packages = find([str(repository)], config=Config(), changed=False)
    assert check_all(packages, jobs=2) == check_all(packages, jobs=1)


def test_what_a_link_leads_to_is_not_searched(repository: Path, validate: Run) -> None:
    """A folder that is linked into another is found where it lies, once; a circle ends."""
    (repository / ".claude").mkdir()
    (repository / ".claude" / "skills").symlink_to("../skills")
    (repository / "skills" / "right" / "again").symlink_to("..")
    found = codes(validate(repository)[1])
    assert list(found) == ["right", "wrong"] and found["right"] == ["symlink_outside"]
    assert list(codes(validate(repository / ".claude" / "skills")[1])) == ["right", "wrong"]  # named, it is followed


def test_a_link_inside_the_skill_is_netclaws_business(repository: Path, validate: Run) -> None:
    """The specification has no rule on it."""
    (repository / "skills" / "right" / "AGENTS.md").write_text("# A\n", encoding="utf-8")
    (repository / "skills" / "right" / "CLAUDE.md").symlink_to("AGENTS.md")
    assert codes(validate(repository / "skills" / "right")[1]) == {"right": []}
    assert codes(validate("--for", "netclaw", repository / "skills" / "right")[1]) == {"right": ["symlink"]}


@contextmanager
def nobody() -> Iterator[None]:
    """The rights of a user who owns nothing, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["skills/right/references", "skills", "skills/right/references/a.md", "skills/right/SKILL.md"])
def test_what_cannot_be_read_is_a_finding(what: str) -> None:
    """A folder with mode 000, above a skill and in it, and a file: an error each, and the rest is checked."""
    root = Path(tempfile.mkdtemp(prefix="netclaw-unreadable-"))  # pytest's own folder lets nobody in
    try:
        root.chmod(0o755)
        home = write_skill(root, "right", "See references/a.md.\n")
        write_skill(root, "other", folder="more", body="[a](gone.md)\n")
        (home / "references").mkdir()
        (home / "references" / "a.md").write_text("# A\n", encoding="utf-8")
        (root / what).chmod(0)
        with nobody():
            reports = check_all(find([str(root)], config=Config(), changed=False))
        found = {one.code for report in reports for one in report.findings if one.severity == "error"}
        assert found == {"unreadable", "file_missing"}
    finally:
        (root / what).chmod(0o755)
        shutil.rmtree(root)


def test_many_skills_end_in_a_summary(repository: Path, validate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings and skills by code, the whole in one sentence, and what is not shown."""
    for number in range(30):
        home = write_skill(repository, f"skill-{number}", "[a](#no)\n" if number % 2 else "Keep them.\n")
        (home / "references").mkdir()
        (home / "references" / "old.md").write_text("# Old\n", encoding="utf-8")
    monkeypatch.chdir(repository)
    lines = validate(".", "--format", "text")[1].splitlines()
    assert not [line for line in lines if line.startswith("✓")]
    assert lines[-5:] == [
        "error    file_missing        1 in 1 skill",
        "warning  anchor_missing     15 in 15 skills",
        "",
        "32 skills checked for the Agent Skills specification: 1 error, 15 warnings; 16 with nothing to fix",
        "30 pieces of advice are not shown (--advice)",
    ]
    assert "orphan_file" in validate(".", "--format", "text", "--advice")[1]


@pytest.mark.parametrize("form", ["sarif", "github"])
@pytest.mark.parametrize("place", [".", "skills", "skills/wrong", ".."])
def test_machines_get_the_path_in_the_repository(
    form: str, place: str, repository: Path, validate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the working directory, and however the path was given."""
    monkeypatch.chdir(repository / place)
    for path in (repository / "skills" / "wrong", os.path.relpath(repository / "skills" / "wrong")):
        out = validate(path, "--format", form)[1]
        expected = (
            '"uri":"skills/wrong/SKILL.md","uriBaseId":"%SRCROOT%"'
            if form == "sarif"
            else "::error file=skills/wrong/SKILL.md,line=6,col=5,"
        )
        assert expected in out


def test_changed_files_may_be_gone(repository: Path, validate: Run) -> None:
    """A file that was deleted stands for the skill that it was in."""
    code, out = validate("--changed", repository / "skills" / "wrong" / "references" / "gone.md", repository / "README.md")
    assert (code, codes(out)) == (1, {"wrong": ["file_missing"]})


# ---- configuration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ignore = ["file_missing"]', (0, {"right": [], "wrong": []})),
        ('exclude = ["skills/wrong"]', (0, {"right": []})),
        ('exclude = ["**/wrong/**"]', (0, {"right": []})),
        ('exclude = ["skills/w*"]', (0, {"right": []})),
        ('exclude = ["w*"]', (1, {"right": [], "wrong": ["file_missing"]})),
        ('per-path-ignore = {"skills/wrong/**" = ["file_missing"]}', (0, {"right": [], "wrong": []})),
        ('per-path-ignore = {"skills/right/**" = ["file_missing"]}', (1, {"right": [], "wrong": ["file_missing"]})),
        ('severity = {file_missing = "warning"}', (0, {"right": [], "wrong": ["file_missing"]})),
        ('severity = {file_missing = "warning"}\nstrict = true', (1, {"right": [], "wrong": ["file_missing"]})),
        ('severity = {file_missing = "advice"}', (0, {"right": [], "wrong": []})),
        ('severity = {file_missing = "advice"}\nadvice = true', (0, {"right": [], "wrong": ["file_missing"]})),
        ('for = "all"', (1, {"right": [], "wrong": ["file_missing"]})),
    ],
)
def test_a_configuration_is_kept(text: str, expected: tuple[int, dict[str, list[str]]], repository: Path, validate: Run) -> None:
    """From the nearest folder, in a file of its own or in pyproject.toml."""
    configure(repository, text)
    code, out = validate(repository / "skills")
    assert (code, codes(out)) == expected
    (repository / ".netclaw-skill.toml").unlink()
    configure(repository, f"[tool.netclaw-skill]\n{text}", "pyproject.toml")
    code, out = validate(repository)
    assert (code, codes(out)) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ignores = []", "there is no key 'ignores'; did you mean 'ignore'?"),
        ('ignore = ["file_mising"]', "there is no code 'file_mising'; did you mean 'file_missing'?"),
        ('ignore = "file_missing"', "ignore must be a list of texts"),
        ('for = ["claud"]', "'claud' is none of spec, claude, hermes, netclaw, openclaw, all"),
        ('severity = {file_missing = "fatal"}', "the severity of file_missing must be one of advice, warning, error"),
        ("strict = 1", "strict must be true or false"),
        ("baseline = 3", "baseline must be the path of a file"),
        ("per-path-ignore = []", "per-path-ignore must be a table"),
        ("for = [", "not TOML"),
    ],
)
def test_a_configuration_that_is_wrong_is_told(text: str, why: str, repository: Path, validate: Run) -> None:
    """With its file and what to do; nothing is checked by half of it."""
    configure(repository, text)
    with pytest.raises(ConfigurationError) as caught:
        find_config(repository / "skills")
    assert why in str(caught.value) and ".netclaw-skill.toml" in str(caught.value)
    code, out = validate(repository, "--format", "github")
    assert code == 2 and out.startswith("::error title=skill validate::")


def test_the_command_line_adds_to_the_configuration(repository: Path, validate: Run, tmp_path: Path) -> None:
    """--for goes before it, --ignore beside it, --config instead of it; a pyproject.toml of others is none."""
    configure(repository, 'for = ["claude"]')
    assert json.loads(validate(repository, "--for", "spec,hermes")[1])["hosts"] == ["spec", "hermes"]
    assert codes(validate(repository, "--ignore", "file_missing")[1]) == {"right": [], "wrong": []}
    configure(tmp_path, "[tool.netclaw-skill]\nstrict = true", "other.toml")
    with pytest.raises(ConfigurationError, match="there is no key 'tool'"):
        read_config(tmp_path / "other.toml")
    configure(tmp_path, "[project]\n", "pyproject.toml")
    assert read_config(tmp_path / "pyproject.toml") is None and find_config(tmp_path) == Config()
    for flags in (["--for", "everybody"], ["--ignore", "x"], ["--config", str(tmp_path / "none.toml")], ["--explain", "x"]):
        assert validate(repository, *flags)[0] == 2


def test_globs() -> None:
    """``*`` stays in its folder, ``**`` does not; a folder that matches covers what is below."""
    assert matches("a/*", "a/b") and matches("a/*", "a/b/c") and not matches("a", "ab")
    assert matches("**/x", "x") and matches("**/x", "a/b/x/c") and matches("a/**/z.md", "a/z.md") and not matches("b/**", "ab/c")
    assert matches("a?.md", "ab.md") and not matches("a.md", "abmd")
