"""A skill in a directory: checked before anything is imported, imported without a trace in ``sys.path``, held to its manifest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.host.plugin_loader import import_from
from tests.adapters.host_plugins import codes

MANIFEST = """\
name: {name}
version: "1.0.0"
description: A skill of a test.
when_to_use: Whenever a test needs one.
license: Apache-2.0
plugin: {plugin}
requires:
  python: ">=3.11"
environment: []
actions:
  - name: {action}
    summary: Act.
    description: Does what the test wants.
    tier: inspect
    handler: {handler}
    input: schemas/input.json
    output: schemas/output.json
    deadline_seconds: 5
    errors: [invalid_input]
    examples:
      - description: Nothing in, nothing out.
        input: {{}}
        output: {{}}
"""
SCHEMA = """\
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Nothing",
  "type": "object",
  "properties": {},
  "additionalProperties": false
}
"""
PLUGIN = """\
from pathlib import Path
from netclaw_opencode.hookspecs import hookimpl
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.plugin import actions_of, skill_of

MANIFEST = load_manifest(Path({manifest!r}))

@hookimpl
def netclaw_register_skills(register):
    register(skill_of(MANIFEST))

@hookimpl
def netclaw_register_actions(register):
    for definition in actions_of(MANIFEST):
        register(definition)

async def act(arguments, context):
    return {{}}
"""
Maker = Callable[..., Path]


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    """Modules that a test imports from its own folders are forgotten after it."""
    yield
    for name in [name for name in sys.modules if name.startswith("dirtest")]:
        del sys.modules[name]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """A directory with a skill whose plugin is one module."""

    def make(name: str = "dirtest", *, module: str | None = None, source: str = PLUGIN, **changes: str) -> Path:
        folder = tmp_path / f"folder-of-{name}"
        (folder / "schemas").mkdir(parents=True)
        module = module or name.replace("-", "_")
        facts = {"name": name, "plugin": module, "action": f"{module}_act", "handler": f"{module}:act"} | changes
        (folder / "skill.yaml").write_text(MANIFEST.format(**facts), encoding="utf-8")
        for schema in ("input", "output"):
            (folder / "schemas" / f"{schema}.json").write_text(SCHEMA, encoding="utf-8")
        (folder / f"{module}.py").write_text(source.format(manifest=str(folder / "skill.yaml")), encoding="utf-8")
        return folder

    return make


def host_of(*directories: Path, **switches: tuple[str, ...]) -> Host:
    """A host of these directories alone."""
    exclude = (OWN_PLUGIN, *switches.pop("exclude", ()))
    return Host(entry_points=False, directories=directories, exclude=exclude, **switches)  # type: ignore[arg-type]


def test_a_directory_is_loaded_under_the_name_of_its_skill(make: Maker) -> None:
    """Skill and actions of the manifest are there, and the handler is found by its place."""
    host = host_of(make("dirtest-good"))
    assert (host.problems, host.plugins, list(host.skills)) == ((), ("dirtest-good",), ["dirtest-good"])
    assert host.registry.get("dirtest_good_act").resolve().__name__ == "act"


def test_loading_leaves_sys_path_alone(make: Maker) -> None:
    """Neither during nor after the import does the directory stand in ``sys.path``, so it can shadow nobody's module."""
    source = "import sys\nPATH = list(sys.path)\n" + PLUGIN
    before = list(sys.path)
    folder = make("dirtest-path", source=source)
    (folder / "colorsys.py").write_text("raise AssertionError('shadowed')", encoding="utf-8")
    assert host_of(folder).problems == ()
    assert sys.path == before == sys.modules["dirtest_path"].PATH
    import colorsys

    assert not Path(colorsys.__file__ or "").is_relative_to(folder)


def test_a_package_finds_its_own_modules_also_later(make: Maker) -> None:
    """A plugin of several files is a package; what it imports at the first call is found too."""
    folder = make("dirtest-pack", module="unused", plugin="dirtest_pack.plugin", handler="dirtest_pack.late:act")
    package = folder / "dirtest_pack"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "plugin.py").write_text(PLUGIN.format(manifest=str(folder / "skill.yaml")), encoding="utf-8")
    (package / "late.py").write_text("async def act(arguments, context): return {}", encoding="utf-8")
    host = host_of(folder)
    assert host.problems == ()
    assert "dirtest_pack.late" not in sys.modules
    assert host.registry.get("unused_act").resolve().__module__ == "dirtest_pack.late"


def test_nothing_is_imported_where_the_manifest_is_wrong(make: Maker) -> None:
    """The manifest is checked first: every mismatch is reported, and the module never runs."""
    folder = make("dirtest-wrong", source="raise AssertionError('imported')")
    manifest = folder / "skill.yaml"
    text = (
        manifest.read_text(encoding="utf-8").replace("tier: inspect", "tier: root").replace("deadline_seconds: 5", "deadline_seconds: -5")
    )
    manifest.write_text(text, encoding="utf-8")
    host = host_of(folder)
    assert {code for _, code in codes(host)} == {"invalid_manifest"}
    assert len(host.problems) >= 2
    assert "tier" in str(host.problems) and "deadline_seconds" in str(host.problems)
    assert "dirtest_wrong" not in sys.modules


@pytest.mark.parametrize("text", ["", "- a list", "name: [", "name: !!python/object/apply:os.getpid []", "name: a\nname: b\n"])
def test_a_file_that_is_no_manifest_is_reported(make: Maker, text: str) -> None:
    """Whatever stands in ``skill.yaml``, it is a problem and never an exception; YAML makes no objects."""
    folder = make("dirtest-odd", source="raise AssertionError('imported')")
    (folder / "skill.yaml").write_text(text, encoding="utf-8")
    assert {code for _, code in codes(host_of(folder))} == {"invalid_manifest"}


def test_a_directory_without_a_manifest_is_reported(tmp_path: Path) -> None:
    """An empty directory and one that does not exist are problems that name the place."""
    host = host_of(tmp_path, tmp_path / "nowhere")
    assert [code for _, code in codes(host)] == ["invalid_manifest"] * 2
    assert str(tmp_path / "nowhere" / "skill.yaml") in str(host.problems[1])


def test_a_manifest_without_a_plugin_module_is_reported(make: Maker) -> None:
    """A manifest that names no module cannot be loaded, and the problem says which line is missing."""
    folder = make("dirtest-none")
    manifest = folder / "skill.yaml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("plugin: dirtest_none\n", ""), encoding="utf-8")
    host = host_of(folder)
    assert codes(host) == [("dirtest-none", "invalid_manifest")]
    assert "plugin:" in host.problems[0].remedy


def test_a_plugin_module_may_be_an_installed_one(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the directory does not hold the module, the installed one is taken."""
    folder = make("dirtest-installed")
    site = tmp_path / "site"
    site.mkdir()
    (folder / "dirtest_installed.py").rename(site / "dirtest_installed.py")
    assert codes(host_of(folder)) == [("dirtest-installed", "import_failed")]
    monkeypatch.syspath_prepend(site)
    assert host_of(folder).problems == ()


def test_a_failing_import_leaves_no_module_behind(make: Maker) -> None:
    """After a failed import the name is free again, so a fixed plugin loads in the same process."""
    folder = make("dirtest-fixed")
    module = folder / "dirtest_fixed.py"
    good = module.read_text(encoding="utf-8")
    module.write_text("1/0", encoding="utf-8")
    host = host_of(folder)
    assert codes(host) == [("dirtest-fixed", "import_failed")]
    assert "ZeroDivisionError" in host.problems[0].message
    assert "dirtest_fixed" not in sys.modules
    module.write_text(good + "\n# longer than before, so that no cached bytecode fits\n", encoding="utf-8")
    assert host_of(folder).problems == ()


def test_a_module_name_that_is_taken_is_reported(make: Maker) -> None:
    """Two directories whose modules have one name: the second would run the first one's code, so it is refused."""
    first, second = make("dirtest-first", module="dirtest_same"), make("dirtest-second", module="dirtest_same", action="other_act")
    host = host_of(first, second)
    assert codes(host) == [("dirtest-second", "import_failed")]
    assert str(first / "dirtest_same.py") in host.problems[0].message
    assert host.plugins == ("dirtest-first",)


def test_the_same_directory_loads_again_in_another_host(make: Maker) -> None:
    """A module that is already imported from this directory is used again."""
    folder = make("dirtest-again")
    assert host_of(folder).problems == host_of(folder).problems == ()


def test_one_skill_in_two_directories_clashes(make: Maker, tmp_path: Path) -> None:
    """The first directory stays in use, and the problem names both places."""
    folder = make("dirtest-twice")
    copy = shutil.copytree(folder, tmp_path / "copy")
    host = host_of(folder, copy)
    assert codes(host) == [("dirtest-twice", "name_clash")]
    assert str(folder) in host.problems[0].message and str(copy) in host.problems[0].message


def test_the_switches_work_before_the_import(make: Maker) -> None:
    """A directory left out by the name of its skill is neither checked nor imported."""
    folder = make("dirtest-left", source="raise AssertionError('imported')")
    assert host_of(folder, exclude=("dirtest-left",)).problems == ()
    assert host_of(make("dirtest-in"), folder, only=("dirtest-in",)).plugins == ("dirtest-in",)
    assert "dirtest_left" not in sys.modules


def test_a_plugin_registers_what_its_manifest_declares(make: Maker) -> None:
    """Another skill, an action too many or one too few: the manifest was checked for nothing, so the plugin is refused."""
    silent = make("dirtest-silent", source="")
    more = PLUGIN.replace("register(definition)", "[register(replace(definition, name=name)) for name in (definition.name, 'smuggled')]")
    more = "from dataclasses import replace\n" + more
    host = host_of(silent, make("dirtest-more", source=more))
    assert {code for _, code in codes(host)} == {"bad_registration"}
    assert "declares the skill 'dirtest-silent', but it registers none" in host.problems[0].message
    assert "smuggled" in host.problems[-1].message
    assert (host.plugins, list(host.registry.actions)) == ((), [])


def test_a_module_name_of_the_standard_library_is_not_replaced(tmp_path: Path) -> None:
    """A directory cannot put its file in the place of a module that is already imported."""
    (tmp_path / "json.py").write_text("raise AssertionError('imported')", encoding="utf-8")
    import json

    with pytest.raises(ImportError, match="'json' is taken already"):
        import_from(tmp_path, "json")
    assert sys.modules["json"] is json


def test_a_folder_that_is_no_package_is_not_a_plugin(tmp_path: Path) -> None:
    """A folder without ``__init__.py`` does not count, so a folder ``schemas`` never becomes a module by accident."""
    (tmp_path / "dirtest_folder").mkdir()
    with pytest.raises(ImportError):
        import_from(tmp_path, "dirtest_folder")
