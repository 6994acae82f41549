"""``install_opencode`` with a stand-in for npm, so that its failures can be had; npm itself and the network are not needed.

The stand-in is a script that does what it is told and puts the OpenCode of these tests into place.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from netclaw_opencode.errors import ServerProblem
from netclaw_opencode.host import Host
from netclaw_opencode.opencode.process import binary, installing
from netclaw_opencode.settings import Settings
from tests.real.acting import Json, data_of, error_of

NPM = """#!/bin/sh
echo "$@" > "$PWD/../npm.txt"
env > "$PWD/../env.txt"
{first}
mkdir -p node_modules/.bin node_modules/opencode-ai
cat > node_modules/.bin/opencode <<'END'
#!/bin/sh
echo {version}
END
chmod +x node_modules/.bin/opencode
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def settings_with(tmp_path: Path, state: Path, *, first: str = "", version: str = binary.PINNED, npm: bool = True) -> Settings:
    """Settings whose PATH leads to a stand-in npm that begins with ``first`` and installs a program of that version."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name, text in {"npm": NPM.format(first=first, version=version), "node": "#!/bin/sh\n"}.items():
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    if not npm:
        (tools / "npm").unlink()
    return Settings.from_environment(
        {
            "PATH": f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin" if npm else str(tools),
            "HOME": str(tmp_path),
            "OPENCODE_DRIVER_STATE_DIR": str(state),
            "OPENCODE_DRIVER_DIRECTORY": str(tmp_path),
            "OPENCODE_SERVER_PASSWORD": "a-password-of-the-user",
        }
    )


def install(settings: Settings, **arguments: object) -> dict[str, object]:
    """The envelope of one call."""
    with Host(settings, entry_points=False) as host:
        return host.call("install_opencode", **arguments)


def test_the_pinned_version_is_installed_once_and_comes_before_path(tmp_path: Path, state: Path) -> None:
    """It is asked for by the lock file, without scripts; the second call does nothing; a configured program still comes first."""
    settings = settings_with(tmp_path, state)
    done: Json = data_of(install(settings))
    assert (done["version"], done["installed"], done["in_use"]) == (binary.PINNED, True, True)
    assert (state / "npm.txt").read_text(encoding="utf-8").startswith("ci --ignore-scripts")
    assert "a-password" not in (state / "env.txt").read_text(encoding="utf-8")
    found = binary.find_binary(None, search_path=settings.environ["PATH"], state_dir=state)
    assert found == done["path"] == str(binary.installed_path(state))
    assert binary.find_binary("/bin/sh", state_dir=state) == "/bin/sh"
    assert data_of(install(settings))["installed"] is False
    assert sorted(item.name for item in state.iterdir()) == ["env.txt", "npm.txt", "opencode"]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("echo 'npm error code EAI_AGAIN' >&2; exit 1", "cannot reach its registry"),
        ("echo 'npm error code EINTEGRITY' >&2; exit 1", "not the package that this release names"),
        ("echo 'npm error code ENOSPC' >&2; exit 1", "no room"),
        ("echo 'something else' >&2; exit 7", "exit code 7"),
    ],
)
def test_a_failure_is_named_and_changes_nothing(tmp_path: Path, state: Path, first: str, told: str) -> None:
    """No network, a changed package, a full disk, anything else: what was there before is as it was, and nothing is left."""
    old = binary.installed_path(state)
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\necho 1.18.30\n", encoding="utf-8")
    old.chmod(0o755)
    error = error_of(install(settings_with(tmp_path, state, first=first)))
    assert (error["code"], told in error["message"]) == ("install_failed", True), error
    assert binary.read_installed_version(state) == "1.18.30"
    assert sorted(item.name for item in state.iterdir()) == ["env.txt", "npm.txt", "opencode"]


def test_a_program_of_another_version_is_not_put_into_place(tmp_path: Path, state: Path) -> None:
    """What does not say the pinned version is thrown away."""
    error = error_of(install(settings_with(tmp_path, state, version="1.18.34")))
    assert "1.18.34" in error["message"] and not binary.installed_path(state).exists()


def test_npm_that_hangs_is_ended_at_the_deadline(tmp_path: Path, state: Path) -> None:
    """The whole takes no longer than it was given, and npm does not go on behind it."""
    seconds = 1_000_000 + os.getpid()  # tells this very process from every other on the machine
    error = error_of(install(settings_with(tmp_path, state, first=f"exec sleep {seconds}"), deadline_seconds=1))
    assert (error["code"], "did not end within 1 s" in error["message"]) == ("install_failed", True)
    commands = [item.read_bytes() for item in Path("/proc").glob("[0-9]*/cmdline") if item.exists()] if Path("/proc").is_dir() else []
    assert not any(str(seconds).encode() in command for command in commands)


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, state: Path) -> None:
    """npm is the one thing that this needs and cannot bring."""
    error = error_of(install(settings_with(tmp_path, state, npm=False)))
    assert (error["code"], "install Node.js" in error["next"]) == ("install_failed", True)


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    """Each has the exact version; those of Linux x64 have their digest; no address stands in it."""
    text = (Path(installing.__file__).with_name("pin") / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: entry for name, entry in json.loads(text)["packages"].items() if name}
    assert {entry["version"] for entry in packages.values()} == {binary.PINNED}
    for name in ("opencode-ai", "opencode-linux-x64", "opencode-linux-x64-baseline"):
        assert packages[f"node_modules/{name}"]["integrity"].startswith("sha512-")
    assert set(packages["node_modules/opencode-ai"]["optionalDependencies"]) == {
        name.removeprefix("node_modules/") for name in packages if not name.endswith("opencode-ai")
    }
    assert "://" not in text


def test_an_opencode_2_on_path_is_named_as_what_it_is(tmp_path: Path) -> None:
    """F64: no OpenCode 2 can be had here, so a script that prints its version stands for it."""
    program = tmp_path / "opencode"
    program.write_text("#!/bin/sh\necho 2.0.3\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(ServerProblem, match="OpenCode 2 is another package") as caught:
        binary.read_binary(str(program))
    assert (caught.value.code, caught.value.next) == ("unsupported_version", "netclaw-opencode server install-opencode")
