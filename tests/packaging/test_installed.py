"""The installed wheel, used from a directory that knows nothing of the repository."""

from __future__ import annotations

import json
from pathlib import Path

from netclaw_opencode import __version__
from netclaw_opencode.testing.binary import opencode_binary
from tests.packaging.conftest import ROOT, Installed


def test_the_command_says_its_version(installed: Installed) -> None:
    """``netclaw-opencode --version`` and ``python -m netclaw_opencode --version`` answer alike."""
    assert installed.run("netclaw-opencode", "--version").stdout == f"netclaw-opencode {__version__}\n"
    assert installed.run("python", "-m", "netclaw_opencode", "--version").stdout == f"netclaw-opencode {__version__}\n"


def test_the_command_lists_the_actions_of_the_checkout(installed: Installed) -> None:
    """The table of actions is made from the bundled manifest, and is complete."""
    listed = installed.run("netclaw-opencode", "actions", "--format", "json", "--max-chars", "0").stdout
    names = sorted(path.name.removesuffix(".input.json") for path in (ROOT / "schemas" / "actions").glob("*.input.json"))
    assert names
    assert not [name for name in names if name not in listed]
    assert json.loads(listed)["ok"] is True


def test_what_is_imported_is_the_wheel(installed: Installed) -> None:
    """The package, its manifest and its schemas are all those inside the environment."""
    paths = installed.evaluate(
        "import netclaw_opencode, netclaw_opencode._core.resources as r\n"
        "print(netclaw_opencode.__file__)\n"
        "for name in ('skill.yaml', 'SKILL.md', 'schemas/skill.schema.json', 'schemas/result.schema.json'): print(r.find_bundled(name))"
    ).splitlines()
    assert len(paths) == 5
    assert not [path for path in paths if not path.startswith(str(installed.prefix))]


def test_the_bundled_manifest_is_sound(installed: Installed) -> None:
    """Manifest, schemas, examples, error codes and handlers agree there as they do here."""
    code = (
        "from netclaw_opencode.manifest import check_manifest, load_manifest as m\nprint(check_manifest(m().source, check_handlers=True))"
    )
    assert installed.evaluate(code) in ("[]", "()")


def test_the_bundled_manifest_is_read_in_its_compact_form(installed: Installed) -> None:
    """The files that make the start quick travel in the wheel and agree with the manifest and the schemas beside them."""
    code = (
        "import sys\n"
        "from netclaw_opencode.manifest import compact, own_manifest as m\n"
        "known = compact.read_schemas(m().source.parent / 'schemas' / 'actions')\n"
        "print(all(known[e.input_path] == e.input_schema for e in m().actions.values()), 'yaml' in sys.modules)"
    )
    assert installed.evaluate(code) == "True False"


def test_the_plugin_is_found_by_its_entry_point(installed: Installed) -> None:
    """A host that looks into the group ``netclaw.skills`` finds the skill and can load it."""
    code = (
        "from importlib.metadata import entry_points\n"
        "found = entry_points(group='netclaw.skills')\n"
        "print([(each.name, each.load().__name__) for each in found])"
    )
    assert installed.evaluate(code) == "[('opencode-driver', 'netclaw_opencode.plugin')]"


def test_a_new_skill_package_can_be_made_and_checked(installed: Installed, tmp_path: Path) -> None:
    """The template and the schema of manifests travel in the wheel; the new package loads in the host."""
    installed.run("netclaw-opencode", "skill", "new", "word-counter", "--to", str(tmp_path))
    report = installed.run("netclaw-opencode", "skill", "validate", "--strict", "--import", str(tmp_path / "word-counter")).stdout
    assert json.loads(report)["packages"][0]["findings"] == []


def test_type_checkers_are_told_to_read_it(installed: Installed) -> None:
    """The marker of PEP 561 is where a type checker looks for it."""
    code = "from importlib.resources import files\nprint((files('netclaw_opencode') / 'py.typed').is_file())"
    assert installed.evaluate(code) == "True"


def test_the_environment_is_complete_and_free_of_test_tools(installed: Installed) -> None:
    """pip finds nothing missing or in conflict, and nothing that only tests need came along."""
    installed.run("python", "-m", "pip", "check")
    listed = {each["name"].lower() for each in json.loads(installed.run("python", "-m", "pip", "list", "--format", "json").stdout)}
    assert not listed & {"pytest", "mypy", "ruff", "hatchling", "coverage", "hypothesis"}


def test_the_extra_for_mcp_is_an_extra(installed: Installed) -> None:
    """Without it the command says what to install, on stderr alone; all the rest works, as the other tests show."""
    code = (
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'netclaw_opencode', 'mcp']\n"
        "done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)\n"
        "print(done.returncode, [done.stdout, done.stderr])"
    )
    told = "netclaw-opencode mcp: the MCP SDK is not installed; pip install 'netclaw-opencode[mcp]'\n"
    assert installed.evaluate(code) == f"2 {['', told]}"


def test_a_whole_coding_task_runs_from_the_wheel(installed: Installed) -> None:
    """The demo of the installed command: a real OpenCode server, one task through run_task, and nothing left afterwards."""
    done = installed.run("netclaw-opencode", "demo", timeout_seconds=600, OPENCODE_DRIVER_BINARY=opencode_binary())
    assert "A slugify.py  +29 -0" in done.stdout
    assert "session deleted, server stopped, nothing left" in done.stdout
    assert done.stderr == ""
