"""Nothing that our pages name is missing, and nothing stands in them that belongs to one machine."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from netclaw_opencode.errors import DriverError
from netclaw_opencode.manifest import load_manifest
from tests.docs.pages import HOME, ROOT, call_of, commands_of, page

PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in ("build", "dist", ".tools", ".venv")}
MANIFEST = load_manifest()
OF_ONE_MACHINE = rf"(?<![\w.])/(?:work|root|opt|mnt|Users|home/(?!{HOME.split('/')[2]}\b|ada\b))[/\w]|/tmp/(?!netclaw-demo-)\w"
REGISTRIES = r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)"


def anchors_of(text: str) -> set[str]:
    """The anchors that a page's headings make, and those that stand in it."""
    without_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="(\w+)"></a>', text))


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(name: str) -> None:
    """Links are relative to the page; those to the web are not followed."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / name).parent / path if path else ROOT / name
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors_of(found.read_text(encoding="utf-8")), f"{name} links to {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_file_named_in_backquotes_exists(name: str) -> None:
    """A path that begins with a folder of this repository is meant to be in it (``_bundled`` is one of the wheel)."""
    for words in re.findall(r"`([^`\n]+)`", page(name)):
        for path in re.findall(r"(?<![\w/.~-])((?:[\w.-]+/)+[\w.-]*)", words):
            if path.split("/")[0] in TOP and "_bundled/" not in path and not any(mark in words for mark in "<*{"):
                assert (ROOT / path).exists() or (ROOT / name).parent.joinpath(path).exists(), f"{name} names {path}"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_names_a_place_of_one_machine(name: str) -> None:
    """Paths are neutral ones, and nobody is sent to a registry by its address."""
    for pattern in (OF_ONE_MACHINE, REGISTRIES):
        assert [match[0] for match in re.finditer(pattern, page(name))] == [], name


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_ours_in_a_page_parses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its flags where it has any; a bare name in a sentence, or one with an ellipsis, is no command."""
    (tmp_path / "task.md").write_text("a task", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command in commands_of(page(name)):
        if "…" in command or "<" in command or " --" not in command:
            continue
        try:
            call_of(command)
        except (click.ClickException, DriverError, AssertionError) as error:
            pytest.fail(f"{name}: {command}: {error}")


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    """A page that nobody finds is not there; decisions are found by their folder, the rules of a host by the page of all rules."""
    linked = set(re.findall(r"\]\((docs/[^)#]+)", page("README.md")))
    assert {name for name in PAGES if name.startswith("docs/") and "/decisions/" not in name and "/rules/" not in name} <= linked


def test_the_table_of_settings_is_the_manifests() -> None:
    """Each variable with its default, whether it is a secret, and its description; no other."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (yes|no) \| (.*) \|$", page("docs/settings.md"), re.MULTILINE)
    assert [(name, default.strip(" `"), secret == "yes", what) for name, default, secret, what in rows] == [
        (each.name, each.default or "", each.secret, each.description) for each in MANIFEST.environment
    ]


def test_the_page_on_settings_names_what_a_server_really_sees() -> None:
    """The groups of variables are those of the code."""
    from netclaw_opencode.opencode.process import spawning

    text = page("docs/settings.md")
    kept = text.split("## What a server of ours sees")[1].split("\n## ")[0]
    for prefix in spawning._ENVIRONMENT_PREFIXES:
        assert prefix == "LC_" or f"`{prefix}*`" in kept, prefix
    for suffix in spawning._ENVIRONMENT_SUFFIXES:
        assert f"`{suffix.upper()}`" in kept, suffix
