"""The skill as hosts take it: each form is whole, valid, the same everywhere, and never costs anybody a file."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from skills_ref import validate  # type: ignore[import-untyped]

from netclaw_opencode._core.validation import find_problems
from netclaw_opencode.adapters.cli import skill as cli_skill
from netclaw_opencode.adapters.cli.app import run
from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.skill.check.phrases import phrases_in
from netclaw_opencode.skill.export import FORMS, made, write

MANIFEST = load_manifest()
NAME = MANIFEST.name
KEYS = {"name", "description", "license", "compatibility", "allowed-tools", "metadata"}
FOLDERS = {"directory": NAME, "hermes": NAME, "openclaw": NAME, "agent-plugin": f"{NAME}/skills/{NAME}"}
DIGEST = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
TEXT = {"type": "string", "minLength": 1}

# The closed forms that the two specifications give, as far as we use them.
PLUGIN: Mapping[str, object] = {
    "type": "object",
    "properties": {
        "$schema": {"const": "https://agent-plugins.org/schemas/1.0.0/plugin.schema.json"},
        "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 64},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "description": {**TEXT, "maxLength": 1024},
        "author": {
            "type": "object",
            "properties": {"name": TEXT, "email": TEXT, "url": TEXT},
            "required": ["name"],
            "additionalProperties": False,
        },
        "homepage": TEXT,
        "repository": TEXT,
        "license": TEXT,
        "keywords": {"type": "array", "items": TEXT, "uniqueItems": True},
    },
    "required": ["$schema", "name", "version", "description"],
    "additionalProperties": False,
}
INDEX: Mapping[str, object] = {
    "type": "object",
    "properties": {
        "$schema": {"const": "https://schemas.agentskills.io/discovery/0.2.0/schema.json"},
        "skills": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {
                    "name": TEXT,
                    "type": {"enum": ["archive", "skill-md"]},
                    "description": {**TEXT, "maxLength": 1024},
                    "url": TEXT,
                    "digest": DIGEST,
                    "version": TEXT,
                },
                "required": ["name", "type", "description", "url", "digest", "version"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["$schema", "skills"],
    "additionalProperties": False,
}

each_form = pytest.mark.parametrize("form", FORMS)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its mode."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def skill_files(form: str) -> dict[str, str]:
    """The texts of the skill in a form, by their path in the skill's folder."""
    files = dict(made(form).files)
    if form == "feed":
        with zipfile.ZipFile(io.BytesIO(files[f"{NAME}.zip"])) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    inside = f"skills/{NAME}/"
    return {name.removeprefix(inside): content.decode("utf-8") for name, content in files.items() if name != "plugin.json"}


@each_form
def test_two_exports_are_equal_to_the_byte(form: str, tmp_path: Path) -> None:
    """In processes of another time zone, umask, hash seed, locale and working directory, down to the modes."""
    cases = (("UTC", "0", "C", 0o022), ("Pacific/Auckland", "4711", "C.UTF-8", 0o077))
    for number, (zone, seed, locale, umask) in enumerate(cases):
        here = tmp_path / f"cwd{number}"
        here.mkdir()
        subprocess.run(
            [sys.executable, "-m", "netclaw_opencode", "skill", "export", "--to", str(tmp_path / f"to{number}"), "--format", form],
            cwd=here,
            env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": locale},
            umask=umask,
            check=True,
            capture_output=True,
        )
    first, second = tree(tmp_path / "to0"), tree(tmp_path / "to1")
    assert first == second and first
    assert {mode for mode, _ in first.values()} == {0o644}


@pytest.mark.parametrize("form", FOLDERS)
def test_the_specifications_validator_accepts_the_folder(form: str, tmp_path: Path) -> None:
    """In the folder that the host reads, whatever the form adds to the metadata."""
    write(made(form), tmp_path)
    assert validate(tmp_path / FOLDERS[form]) == []


@each_form
def test_the_skill_in_it_keeps_the_rules(form: str) -> None:
    """Six keys, the version, the four sections, a short body, files that exist, no code, no phrase that scanners reject."""
    files = skill_files(form)
    head, body = files["SKILL.md"].removeprefix("---\n").split("\n---\n", 1)
    frontmatter = yaml.safe_load(head)
    assert set(frontmatter) <= KEYS and frontmatter["name"] == NAME
    assert frontmatter["metadata"]["version"] == MANIFEST.version
    assert len(re.findall(r"^\s*(?:name|description|version):", head, re.MULTILINE)) == 2
    assert len(body) < 9_800, "200 characters are kept free"
    assert re.findall(r"^## (.+)$", body, re.MULTILINE) == ["When to use", "Procedure", "Pitfalls", "Verification"]
    links = set(re.findall(r"\]\(([^)]+)\)", body))
    assert links == set(files) - {"SKILL.md"}
    for name, text in files.items():
        assert [*phrases_in(text, "netclaw"), *phrases_in(text, "hermes")] == [], name
        assert "<!--" not in text and not re.search(r"^(import|from|def|class) \w", text, re.MULTILINE)


def test_openclaw_gets_its_requirements_as_an_object() -> None:
    """It reads the block as an object alone, and hides the skill where a program of the list is missing; no variable is needed."""
    frontmatter = yaml.safe_load(skill_files("openclaw")["SKILL.md"].split("---")[1])
    assert frontmatter["metadata"]["openclaw"] == {"requires": {"bins": ["netclaw-opencode", "opencode"]}}


def test_hermes_gets_tags_and_no_condition_that_could_hide_the_skill() -> None:
    """A condition on tools or toolsets would hide it from who uses the command alone."""
    hermes = yaml.safe_load(skill_files("hermes")["SKILL.md"].split("---")[1])["metadata"]["hermes"]
    assert set(hermes) == {"tags"} and "opencode" in hermes["tags"]


def test_the_agent_plugin_has_the_closed_form() -> None:
    """``plugin.json`` holds nothing that the specification does not know, and the package's own name and version."""
    files = made("agent-plugin").files
    about = json.loads(files["plugin.json"])
    assert not find_problems(about, PLUGIN)
    assert find_problems({**about, "commands": []}, PLUGIN)
    assert (about["name"], about["version"]) == (NAME, MANIFEST.version)
    assert f"skills/{NAME}/SKILL.md" in files


def test_the_feed_names_the_digest_of_its_archive() -> None:
    """The index has the form of the specification; the archive has SKILL.md at its root and nothing that varies."""
    files = made("feed", url_prefix="https://skills.example.com/netclaw/").files
    index = json.loads(files["index.json"])
    assert not find_problems(index, INDEX)
    (entry,) = index["skills"]
    archive = files[f"{NAME}.zip"]
    assert entry["digest"] == f"sha256:{hashlib.sha256(archive).hexdigest()}"
    assert (entry["type"], entry["version"], entry["url"]) == (
        "archive",
        MANIFEST.version,
        f"https://skills.example.com/netclaw/{NAME}.zip",
    )
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        entries = opened.infolist()
    assert [item.filename for item in entries] == ["SKILL.md", "references/actions.md", "references/errors.md"]
    assert {(item.date_time, item.external_attr, item.create_system, item.compress_type) for item in entries} == {
        ((1980, 1, 1, 0, 0, 0), 0o100644 << 16, 3, zipfile.ZIP_STORED)
    }


@each_form
def test_an_earlier_export_is_replaced_and_nothing_beside_it_touched(form: str, tmp_path: Path) -> None:
    """Into a folder with other things, twice; a file that the new export no longer has is gone with the old one."""
    (tmp_path / "other-skill").mkdir()
    (tmp_path / "other-skill" / "SKILL.md").write_text("mine", encoding="utf-8")
    root, replaced = write(made(form), tmp_path)
    assert not replaced
    before = tree(tmp_path)
    assert write(made(form), tmp_path) == (root, True)
    assert tree(tmp_path) == before
    assert (tmp_path / "other-skill" / "SKILL.md").read_text(encoding="utf-8") == "mine"


def test_one_form_may_replace_another(tmp_path: Path) -> None:
    """Who changes the host gets the other form in the same place, with no file of the first left."""
    write(made("agent-plugin"), tmp_path)
    root, replaced = write(made("openclaw"), tmp_path)
    assert replaced and not (root / "plugin.json").exists()


@each_form
def test_a_changed_export_is_left_to_who_changed_it(form: str, tmp_path: Path) -> None:
    """A file edited, added or taken away: refused, and everything is as it was."""
    root, _ = write(made(form), tmp_path)
    last = max(path for path in root.rglob("*") if path.is_file())
    original = last.read_bytes()
    for change in (lambda: last.write_bytes(original + b"\n"), lambda: last.unlink(), lambda: (root / "notes.md").write_text("mine")):
        change()
        before = tree(tmp_path)
        with pytest.raises(InvalidInput, match="left as it is"):
            write(made(form), tmp_path)
        assert tree(tmp_path) == before
        last.write_bytes(original)


@each_form
def test_what_is_no_export_is_never_overwritten(form: str, tmp_path: Path) -> None:
    """A foreign skill of the same name, a file and links, also ones that lead nowhere, are all refused."""
    root = tmp_path / made(form).root
    root.mkdir(parents=True)
    (root / "SKILL.md").write_text(f'---\nname: {NAME}\nmetadata:\n  "digest": "sha256:{"0" * 64}"\n---\nAnother one.\n', encoding="utf-8")
    (root / "index.json").write_text(json.dumps({"skills": [{"name": "another"}]}), encoding="utf-8")
    before = tree(tmp_path)
    with pytest.raises(InvalidInput, match="left as it is"):
        write(made(form), tmp_path)
    assert tree(tmp_path) == before
    for number, target in enumerate((tmp_path / "elsewhere", tmp_path / "nowhere")):
        to = tmp_path / f"linked{number}"
        place = to / made(form).root
        place.parent.mkdir(parents=True)
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        place.symlink_to(target)
        with pytest.raises(InvalidInput, match="is a link"):
            write(made(form), to)
        assert not list((tmp_path / "elsewhere").iterdir())


def test_a_link_to_the_folder_itself_is_followed_and_one_below_it_is_not(tmp_path: Path) -> None:
    """Who names a link means the folder behind it; a link inside could lead a feed anywhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    root, _ = write(made("directory"), tmp_path / "link")
    assert root == (tmp_path / "real" / NAME).resolve()
    (tmp_path / "real" / ".well-known").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="is a link"):
        write(made("feed"), tmp_path / "real")


@pytest.mark.parametrize(
    ("failure", "seen"), [(OSError(28, "No space left on device"), InvalidInput), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_a_write_that_ends_midway_leaves_the_earlier_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, seen: type[BaseException]
) -> None:
    """The last move is refused by the system, or interrupted: the old folder is back in its place, and no half of the new one is left."""
    root, _ = write(made("directory"), tmp_path)
    before = tree(tmp_path)
    real = Path.rename

    def fails_once(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise failure
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises(seen):
        write(made("hermes"), tmp_path)
    assert tree(tmp_path) == before and [path.name for path in tmp_path.iterdir()] == [root.name]


def test_the_command_says_what_it_wrote_and_what_it_would_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One envelope: format, path, files; exit code 3 where the target is somebody's."""
    assert run(["skill", "export", "--to", str(tmp_path / "new" / "folder")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"]["path"] == str(tmp_path / "new" / "folder" / NAME) and "SKILL.md" in told["data"]["files"]
    (tmp_path / "new" / "folder" / NAME / "SKILL.md").write_text("mine", encoding="utf-8")
    assert run(["skill", "export", "--to", str(tmp_path / "new" / "folder")]) == 3
    assert "left as it is" in json.loads(capsys.readouterr().out)["error"]["message"]
    (tmp_path / "file").touch()
    assert run(["skill", "export", "--to", str(tmp_path / "file")]) == 3
    assert "not a folder" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert run(["skill", "export", "--to", str(tmp_path), "--url-prefix", "https://example.com"]) == 3
    assert run(["skill", "export", "--format", "feed"]) == 2


def test_the_command_offers_every_form() -> None:
    """The list of the flag is the list of the export."""
    assert list(cli_skill.FORMS) == list(FORMS)
