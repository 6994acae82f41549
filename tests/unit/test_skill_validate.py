"""``skill validate`` as a command: paths, four forms, exit codes; and packages that want to do harm.

Which package gives which code is the business of ``test_packages``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.manifest import load_checked_manifest
from netclaw_opencode.skill.check.package import check_package
from netclaw_opencode.skill.check.places import Package, package_at, repository_of
from netclaw_opencode.skill.check.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "tests" / "packages"
RIGHT = PACKAGES / "valid" / "action-and-page" / "my-skill"
WARNED = PACKAGES / "invalid" / "anchor_missing--below" / "my-skill"
WRONG = PACKAGES / "invalid" / "bad_value--tier" / "my-skill"

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def validate(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs ``skill validate`` in this process and returns exit code and stdout."""

    def call(*arguments: str | Path) -> tuple[int, str]:
        code = run(["skill", "validate", *map(str, arguments)])
        return code, capfdbinary.readouterr().out.decode("utf-8")

    return call


# ---- exit codes and paths


@pytest.mark.parametrize(
    ("paths", "flags", "code"),
    [
        ([RIGHT], [], 0),
        ([RIGHT], ["--strict"], 0),
        ([WARNED], [], 0),
        ([WARNED], ["--strict"], 1),
        ([WRONG], [], 1),
        ([RIGHT, WRONG], [], 1),
        ([RIGHT / "skill.yaml"], [], 0),
        ([RIGHT / "SKILL.md"], [], 0),
        ([WRONG / "keep.input.json"], [], 1),
        ([RIGHT / "nowhere"], [], 2),
        ([RIGHT, RIGHT / "nowhere"], [], 2),
        ([PACKAGES / "valid"], [], 0),
        ([PACKAGES / "valid"], ["--strict", "--ignore", "duplicate_skill"], 0),
        ([PACKAGES / "invalid"], [], 1),
        ([ROOT / "scripts"], [], 2),
        ([], [], 2),
    ],
)
@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_the_exit_code_tells_the_outcome(paths: list[Path], flags: list[str], code: int, form: str, validate: Run) -> None:
    """0 nothing that fails, 1 something, 2 a path that is no package; the same in every form."""
    assert validate(*paths, *flags, "--format", form)[0] == code


def test_a_bad_path_is_told_and_hides_nothing(validate: Run) -> None:
    """Among the findings, in each form, beside those of the others; the exit code says that not all was checked."""
    code, out = validate("no/such place", WRONG, "--format", "json")
    report = json.loads(out)
    assert (code, report["ok"]) == (2, False)
    assert [package["findings"][0]["code"] for package in report["packages"]] == ["path_missing", "bad_value"]
    code, out = validate("no/such place", ROOT / "scripts", WRONG, "--format", "github")
    assert code == 2 and re.findall(r"title=(\w+)::", out) == ["path_missing", "no_skill", "bad_value"]


def test_a_package_that_is_named_twice_is_checked_once(validate: Run) -> None:
    """By its folder and by its files."""
    packages = json.loads(validate(RIGHT, RIGHT / "skill.yaml", RIGHT / "SKILL.md")[1])["packages"]
    assert [package["name"] for package in packages] == ["my-skill"]


def test_changed_files_stand_for_the_packages_around_them(validate: Run, tmp_path: Path) -> None:
    """A file of no package is passed over, and nothing is looked for outside the repository."""
    (tmp_path / "SKILL.md").write_text("not ours", encoding="utf-8")
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    lonely = tmp_path / "repo" / "schemas" / "x.json"
    lonely.parent.mkdir()
    lonely.write_text("{}", encoding="utf-8")
    code, out = validate("--changed", lonely, WARNED / "SKILL.md", "--format", "json")
    assert (code, [package["name"] for package in json.loads(out)["packages"]]) == (0, ["my-skill"])
    assert validate("--changed", lonely, "--format", "text") == (0, "no skill among the paths\n")


def test_our_own_package_and_example_are_right(validate: Run) -> None:
    """Not a warning in the skill of this repository, nor in the example that authors copy from."""
    code, out = validate("--strict", "--import", ROOT, ROOT / "examples" / "permission_policy")
    report = json.loads(out)
    assert [finding for package in report["packages"] for finding in package["findings"]] == []
    assert (code, [package["handlers"] for package in report["packages"]]) == (0, ["imported", "imported"])


@pytest.mark.parametrize("form", ["directory", "agent-plugin", "hermes", "openclaw"])
def test_our_own_exports_are_right(form: str, validate: Run, tmp_path: Path) -> None:
    """Every form of the skill that hosts take, each as strictly as our own package."""
    assert run(["skill", "export", "--to", str(tmp_path), "--format", form]) == 0
    (skill,) = tmp_path.rglob("SKILL.md")
    host = {"hermes": "hermes", "openclaw": "openclaw"}.get(form, "spec,netclaw")
    assert ": nothing to fix" in validate("--strict", "--for", host, "--format", "text", skill.parent)[1]


def test_nothing_is_run_unless_asked(validate: Run, tmp_path: Path) -> None:
    """Looking handlers up leaves no trace of the package's code; --import runs it."""
    trace = tmp_path / "trace"
    folder = tmp_path / "my-skill"
    shutil.copytree(RIGHT, folder)
    source = (folder / "my_skill.py").read_text(encoding="utf-8")
    (folder / "my_skill.py").write_text(f"{source}\nopen({str(trace)!r}, 'w').close()\nprint('noise')\n", encoding="utf-8")
    code, out = validate(folder)
    assert (code, json.loads(out)["packages"][0]["handlers"], trace.exists()) == (0, "looked_up", False)
    code, out = validate(folder, "--import")
    assert (code, json.loads(out)["packages"][0]["handlers"], trace.exists()) == (0, "imported", True)


def test_where_no_process_can_be_started_that_is_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system out of processes is told as such, not as a defect of the checker."""

    def refuses(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", refuses)
    report = check_package(Package(RIGHT), import_code=True)
    assert [(found.code, "Resource temporarily" in found.message) for found in report.findings] == [("import_failed", True)]


# ---- the four forms


def test_the_text_is_lines_that_editors_know(validate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """file:line:column, severity, what is wrong, the code; below it how to mend it."""
    monkeypatch.chdir(WRONG.parent)
    first, second, third = validate("my-skill", "--format", "text")[1].splitlines()
    assert first == "my-skill/skill.yaml:11:5: error: actions[keep].tier: 'root' is none of inspect, run, reply, server [bad_value]"
    assert second == "    one of inspect, run, reply, server"
    assert third == "✗ my-skill (my-skill): 1 error, 0 warnings; handlers looked up in the source, nothing was run"


def test_the_json_holds_every_fact(validate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document; a finding has exactly these keys."""
    monkeypatch.chdir(WARNED)
    report = json.loads(validate(".", "--format", "json")[1])
    assert {name: report[name] for name in ("ok", "errors", "warnings", "strict")} == {
        "ok": True,
        "errors": 0,
        "warnings": 1,
        "strict": False,
    }
    (package,) = report["packages"]
    assert (package["path"], package["handlers"]) == (".", "none")
    assert package["findings"] == [
        {
            "file": "SKILL.md",
            "line": 14,
            "column": 13,
            "code": "anchor_missing",
            "severity": "warning",
            "hosts": ["spec"],
            "message": "the page has no heading for #no-such-heading",
            "remedy": "Correct the part behind #.",
            "fixable": False,
        }
    ]


def test_github_gets_annotations_that_cannot_be_forged(validate: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Percent, colon, comma and line break are escaped; nothing out of a package begins a command of its own."""
    folder = tmp_path / "a,b:c%d"
    folder.mkdir()
    page = '---\nname: "x\\n::stop-commands::y%0A"\ndescription: "x"\n---\n'
    (folder / "SKILL.md").write_text(page, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, out = validate(folder, "--format", "github")
    commands = [line for line in out.splitlines() if line.startswith("::")]
    assert code == 1 and len(commands) == 2
    assert not [line for line in out.splitlines() if line.startswith("::stop-commands")]
    assert commands[0].startswith("::error file=a%2Cb%3Ac%25d/SKILL.md,line=2,col=1,title=bad_skill_name::'x")
    assert "y%250A" in commands[0]
    assert all(re.match(r"::(error|warning) file=[^:,]+,line=\d+,col=\d+,title=[a-z_]+::.", line) for line in commands)


def test_sarif_names_its_rules_and_places(validate: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """2.1.0: every result points into the list of rules, addresses are relative, links lead to the code."""
    folder = tmp_path / "my skill"
    folder.mkdir()
    (folder / "SKILL.md").write_text("# Nothing\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, out = validate(folder, WARNED, "--format", "sarif", "--docs", "https://example.org/docs/rules.md")
    log = json.loads(out)
    (only,) = log["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert (code, log["version"], log["$schema"].endswith("sarif-2.1.0.json")) == (1, "2.1.0", True)
    assert [rule["id"] for rule in rules] == ["anchor_missing", "frontmatter_missing"]
    for rule in rules:
        assert rule["helpUri"] == f"https://example.org/docs/rules.md#{rule['id']}"
        assert rule["shortDescription"]["text"] == RULES[rule["id"]].summary
    for result in only["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] and result["level"] == RULES[result["ruleId"]].grounds["spec"].severity
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1
    place = only["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "my%20skill/SKILL.md", "uriBaseId": "%SRCROOT%"} and unquote(place["uri"]) == "my skill/SKILL.md"


# ---- packages that want to do harm


def test_a_terminal_is_not_tricked(validate: Run, tmp_path: Path) -> None:
    """Neither the name of a file nor a value of it reaches the terminal with its control characters."""
    folder = tmp_path / "x\x1b[31m\u202ey"
    folder.mkdir()
    (folder / "SKILL.md").write_text('---\nname: "\\x1b]0;a\\x07\\u202e"\ndescription: x\n"\\x1b[2J": 1\n---\n', encoding="utf-8")
    for form in ("text", "json", "github", "sarif"):
        out = validate(folder, "--format", form)[1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out)


def test_a_path_that_is_no_text_is_shown(validate: Run, tmp_path: Path) -> None:
    """A name of bytes that are no UTF-8 ends in no traceback."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    try:
        folder.mkdir()
    except OSError:  # a file system that takes text only has no such names
        return
    (folder / "SKILL.md").write_text("# x\n", encoding="utf-8")
    for form in ("text", "json", "github", "sarif"):
        assert validate(folder, "--format", form)[0] == 1


def test_pipes_devices_and_links_are_not_read(tmp_path: Path) -> None:
    """In the place of every file that is read; none of them is waited for or followed."""
    names = ("skill.yaml", "SKILL.md", "pyproject.toml", "plugin.json")
    for kind in ("pipe", "device", "loop"):
        folder = tmp_path / kind
        folder.mkdir()
        for name in names:
            if kind == "pipe":
                os.mkfifo(folder / name)
            else:
                (folder / name).symlink_to("/dev/zero" if kind == "device" else name)
        found = {(finding.file, finding.code) for finding in check_package(Package(folder), seconds=10).findings}
        read = {
            ("skill.yaml", "unreadable"),
            ("SKILL.md", "unreadable"),
            ("pyproject.toml", "special_file"),
            ("plugin.json", "special_file"),
        }
        linked = "symlink_outside" if kind == "device" else "symlink_broken"
        assert found == (read if kind == "pipe" else {(name, linked) for name in names})


@pytest.mark.parametrize(
    "text",
    [
        "a: " * 100_000,
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 20_000,
        "a: &a [x, x]\n" + "".join(f"{name}: [*a, *a]\n" for name in "bcdefghij"),
        "? " * 50_000,
        "a: |\n" + " x\n" * 200_000,
        "x" * 2_000_000,
        "\ufeff\u2028\x85",
        "name: \x00",
        "name: a\u2028metadata: {a: b}\x85license: [x]\rx: {}",
        "%YAML 9.9\n---\na",
    ],
)
def test_a_manifest_that_wants_to_do_harm_is_only_wrong(text: str, tmp_path: Path) -> None:
    """Ten thousands of levels, bombs and odd bytes end in findings, in bounded time."""
    for name, content in (("skill.yaml", text), ("SKILL.md", f"---\n{text}\n---\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    report = check_package(Package(tmp_path), seconds=20)
    assert {"skill.yaml", "SKILL.md"} <= {finding.file for finding in report.findings}
    assert not {"took_too_long"} & {finding.code for finding in report.findings}


@pytest.mark.parametrize("code", ["-" * 200_000 + "1", "not " * 100_000 + "1", "(" * 5_000, "a.b" * 50_000, "\0", "x = '" + "\\" * 99])
def test_a_handler_that_cannot_be_parsed_is_only_wrong(code: str, tmp_path: Path) -> None:
    """Python's own parser gives up on it; the check goes on."""
    shutil.copytree(RIGHT, tmp_path / "my-skill")
    (tmp_path / "my-skill" / "my_skill.py").write_text(code, encoding="utf-8")
    (found,) = check_package(Package(tmp_path / "my-skill")).findings
    assert found.code in ("syntax", "handler_missing")


@pytest.mark.parametrize("name", ["x" * 5_000, "loop.json", "a\0b.json", "/", ""])
def test_names_that_no_file_can_have_are_only_wrong(name: str, tmp_path: Path) -> None:
    """As a schema, a handler's module, a link of the page and the place of the version."""
    folder = tmp_path / "my-skill"
    shutil.copytree(RIGHT, folder)
    (folder / "loop.json").symlink_to("loop.json")
    manifest = (folder / "skill.yaml").read_text(encoding="utf-8")
    manifest = manifest.replace("input: keep.input.json", f"input: {json.dumps(name)}").replace("my_skill:keep", f"{'m' * 260}:keep")
    (folder / "skill.yaml").write_text(manifest, encoding="utf-8")
    page = (folder / "SKILL.md").read_text(encoding="utf-8")
    (folder / "SKILL.md").write_text(page + f"\n[x]({name})\n", encoding="utf-8")
    project = f'[project]\nname = "x"\ndynamic = ["version"]\n\n[tool.hatch.version]\npath = {json.dumps(name)}\n'
    (folder / "pyproject.toml").write_text(project, encoding="utf-8")
    found = {(finding.file, finding.code) for finding in check_package(Package(folder)).findings}
    assert ("skill.yaml", "handler_elsewhere") in found and ("pyproject.toml", "version_unknown") in found
    assert found & {("skill.yaml", code) for code in ("path_outside", "file_missing", "bad_value")}
    with pytest.raises(InvalidInput):
        load_checked_manifest(folder / "skill.yaml")


def _exit_code(folder: Path) -> int:
    report = check_package(Package(folder), seconds=20)
    assert all(finding.code in RULES and finding.line >= 1 and finding.column >= 1 for finding in report.findings)
    return 1 if report.errors else 0


@settings(max_examples=150, deadline=None)
@given(manifest=st.binary(max_size=400), page=st.binary(max_size=400), schema=st.binary(max_size=200))
def test_any_bytes_end_in_findings(tmp_path_factory: pytest.TempPathFactory, manifest: bytes, page: bytes, schema: bytes) -> None:
    """Whatever the files hold, the check ends with findings and never raises."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    for name, content in (("skill.yaml", manifest), ("SKILL.md", page), ("plugin.json", schema), ("pyproject.toml", schema)):
        (folder / name).write_bytes(content)
    assert _exit_code(folder) == 1


_LINES = (RIGHT / "skill.yaml").read_text(encoding="utf-8").splitlines() + (RIGHT / "SKILL.md").read_text(encoding="utf-8").splitlines()


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.sampled_from(_LINES) | st.text(max_size=20), max_size=40), front=st.booleans())
def test_any_mixture_of_right_lines_ends_in_findings(tmp_path_factory: pytest.TempPathFactory, lines: list[str], front: bool) -> None:
    """Nearly right files reach every rule, and none of them raises."""
    folder = tmp_path_factory.getbasetemp() / "mixed"
    folder.mkdir(exist_ok=True)
    text = "\n".join(lines).encode("utf-8", "replace")
    (folder / "skill.yaml").write_bytes(text)
    (folder / "SKILL.md").write_bytes(b"---\n" + text + b"\n---\n" + text if front else text)
    assert _exit_code(folder) in (0, 1)


# ---- the rest


def test_help_stays_quick() -> None:
    """The group's help imports neither the checks nor YAML nor jsonschema."""
    code = (
        "import sys\nfrom netclaw_opencode.adapters.cli.app import run\nrun(['skill', 'validate', '--help'])\n"
        "sys.exit(str(sorted({'yaml', 'jsonschema', 'httpx', 'anyio', 'netclaw_opencode.skill.check'} & set(sys.modules)) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr.strip(), "--strict" in done.stdout) == ("", True)


def test_the_package_of_a_path() -> None:
    """A folder, a manifest, a page, or any file below: the nearest package, within its repository."""
    packages = [package_at(path) for path in (RIGHT, RIGHT / "skill.yaml", RIGHT / "keep.input.json")]
    assert packages == [Package(RIGHT, root=repository_of(ROOT))] * 3
    assert package_at(PACKAGES / "valid") is None
