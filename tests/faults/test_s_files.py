"""S19, S20, S22, S23, S28: code that runs nothing it should not, and files that are ours alone and whole."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netclaw_opencode._core.policy import load_policy
from netclaw_opencode._core.private_files import require_private_folder
from netclaw_opencode.errors import DriverError, InvalidInput
from netclaw_opencode.manifest import load_manifest
from netclaw_opencode.opencode.directories import Places, check_directory
from netclaw_opencode.opencode.process.state import read, write
from tests.faults.guard import Guard
from tests.support.pace import MACHINE_SECONDS
from tests.support.records import server_record

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "netclaw_opencode").rglob("*.py"))
OWN_DATA = {"Check"}
NO_CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
NO_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "pty", "telnetlib", "ftplib", "xmlrpc", "http.server", "code", "codeop"}
ARCHIVES = {"zipfile", "tarfile", "gzip", "bz2", "lzma", "zlib"}
RECORD = server_record(4242)


def nodes() -> Iterator[tuple[str, ast.AST]]:
    """Every node of the package's syntax trees, with its place."""
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def imported(node: ast.AST) -> set[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return {item.name for item in node.names}
    return {node.module} if isinstance(node, ast.ImportFrom) and node.module else set()


def test_s19_nothing_is_evaluated_unpickled_or_given_to_a_shell() -> None:
    """S19: neither by name, nor by module, nor by an argument."""
    assert len(PACKAGE) > 50
    wrong = []
    for place, node in nodes():
        if imported(node) & NO_MODULES:
            wrong.append(f"{place} imports {imported(node)}")
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            # Of a call that starts something: our own data say what a caller asked for.
            shell = name not in OWN_DATA and any(
                item.arg == "shell" and not (isinstance(item.value, ast.Constant) and item.value.value is False) for item in node.keywords
            )
            if name in NO_CALLS or shell or name.startswith(("os.system", "os.popen", "os.exec", "os.spawn", "subprocess.getoutput")):
                wrong.append(f"{place} calls {name}")
    assert wrong == []


def test_s19_yaml_is_read_by_a_safe_loader_in_one_place() -> None:
    """S19: no yaml.load with another loader anywhere; the one module that knows YAML names a safe one."""
    users = {place.partition(":")[0] for place, node in nodes() if imported(node) & {"yaml"}}
    assert users == {"netclaw_opencode/_core/documents.py"}
    text = (ROOT / "netclaw_opencode" / "_core" / "documents.py").read_text(encoding="utf-8")
    assert "SafeLoader" in text
    assert not [name for name in ("UnsafeLoader", "FullLoader", "yaml.Loader", "unsafe_load", "full_load") if name in text]


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch pwned']",
        "version: !!python/object:subprocess.Popen {}",
        "version: !!python/name:os.system",
        "a: &a [x]\nb: [*a]",
    ],
)
def test_s19_a_file_that_asks_for_an_object_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S19: as a policy and as a manifest; nothing is made, and no alias multiplies anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
    for reader in (load_policy, load_manifest):
        with pytest.raises(InvalidInput):
            reader(tmp_path / "f.yaml")
    assert [item.name for item in tmp_path.iterdir()] == ["f.yaml"]


def test_s19_no_archive_is_read() -> None:
    """S19, S21: nothing is unpacked, so there is nothing to slip out of; the one archive that is made, a feed's, is only written."""
    checksums, packs = "netclaw_opencode/manifest/compact/__init__.py", "netclaw_opencode/work/packing.py"
    users = {place.partition(":")[0] for place, node in nodes() if imported(node) & ARCHIVES}
    assert users == {"netclaw_opencode/skill/export/forms.py", checksums, packs}
    of_zlib = {ast.unparse(node) for place, node in nodes() if place.startswith((checksums, packs)) and isinstance(node, ast.Attribute)}
    assert {name for name in of_zlib if re.fullmatch(r"zlib\.\w+", name)} == {"zlib.crc32", "zlib.adler32", "zlib.compress"}
    calls = [ast.unparse(node.func) for place, node in nodes() if place.startswith(tuple(users)) and isinstance(node, ast.Call)]
    assert [name for name in calls if name.endswith(("ZipFile", "extract", "extractall"))] == ["zipfile.ZipFile"]
    text = (ROOT / "netclaw_opencode" / "skill" / "export" / "forms.py").read_text(encoding="utf-8")
    assert 'zipfile.ZipFile(raw, "w"' in text


@pytest.mark.parametrize("place", ["$ref", "$dynamicRef", "$id", "$schema"])
@pytest.mark.parametrize("action", ["run_task", "send_message"])
def test_s20_a_schema_fetches_nothing(guard: Guard, place: str, action: str) -> None:
    """S20: a reference to elsewhere is refused or means nothing; nobody is asked for it."""
    session = {"session_id": "ses_00000000000000000000000000"} if action == "send_message" else {}
    for reference in (f"{guard.ears.url}/schema.json", "file:///etc/passwd", "//evil.example/x", "other.json"):
        schema = {"type": "object", "properties": {"a": {place: reference}}}
        if place.startswith("$") and place.endswith("ef"):
            guard.refused(action, "output_schema", "this schema", arguments={"prompt": "x", "output_schema": schema, **session})


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_s20_a_schema_searches_nothing(guard: Guard, keyword: str) -> None:
    """S20: a catastrophic expression, and any other, is refused before it is tried on anything."""
    value: object = "(a+)+$" if keyword == "pattern" else {"(a+)+$": {}}
    began = time.perf_counter()
    guard.refused(
        "run_task", "output_schema", "regular expression", arguments={"prompt": "a" * 50_000 + "!", "output_schema": {keyword: value}}
    )
    assert time.perf_counter() - began < MACHINE_SECONDS


def test_s20_a_schema_has_a_depth(guard: Guard) -> None:
    """S20: an abyss of a schema is refused, not descended."""
    schema: dict[str, object] = {}
    for _ in range(3_000):
        schema = {"properties": {"a": schema}}
    guard.refused("run_task", "nested deeper than 64 levels", arguments={"prompt": "x", "output_schema": schema})


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_s22_folder_and_files_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    """S22: 0700 and 0600, and what had to be made above the folder is this user's alone, too."""
    before = os.umask(umask)
    try:
        write(tmp_path / "a" / "b" / "state", RECORD)
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/state")] == [0o700] * 3
    assert mode(tmp_path / "a/b/state/server.json") == 0o600


def test_s22_planted_links_are_not_followed(tmp_path: Path) -> None:
    """S22: the folder itself, the record, its temporary file: none leads elsewhere."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (victim / "mine").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to(victim)
    for attempt in (
        lambda: write(tmp_path / "link", RECORD),
        lambda: read(tmp_path / "link"),
        lambda: require_private_folder(tmp_path / "link"),
    ):
        with pytest.raises(DriverError, match="link"):
            attempt()
    state = tmp_path / "state"
    require_private_folder(state)
    for name in ("server.json", ".server.json.new"):
        (state / name).symlink_to(victim / "mine")
        write(state, RECORD)
        assert read(state) == RECORD and not (state / "server.json").is_symlink()
    assert [item.name for item in victim.iterdir()] == ["mine"] and (victim / "mine").read_text(encoding="utf-8") == "mine"


SWAPPING = """
import os, sys
from contextlib import suppress
state, aside, victim = sys.argv[1:]
for swap in range(10_000):
    # A name of its own each time: the writer may have made a new folder in the meantime.
    with suppress(OSError):
        os.rename(state, f"{aside}-{swap}")
    with suppress(OSError):
        os.symlink(victim, state)
        os.unlink(state)
    with suppress(OSError):
        os.rename(f"{aside}-{swap}", state)
print("swapped")
"""


def test_s22_link_planted_during_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S22: the folder and a link to a victim change places 10,000 times while it is written to; the victim stays empty."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what is shown is the way, not the disk
    victim, state = tmp_path / "victim", tmp_path / "state"
    victim.mkdir(mode=0o700)
    state.mkdir(mode=0o700)
    outcomes = {"written": 0, "refused": 0}
    words = [sys.executable, "-c", SWAPPING, str(state), str(tmp_path / "aside"), str(victim)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as swapping:
        while swapping.poll() is None:
            try:
                write(state, RECORD)
                outcomes["written"] += 1
            except DriverError:
                outcomes["refused"] += 1
            except OSError:
                outcomes["refused"] += 1
        assert swapping.stdout is not None and swapping.stdout.read() == b"swapped\n"
    # How often a write met the link is the scheduler's choice; that none of them got through is the claim.
    assert outcomes["written"] > 0, outcomes
    assert list(victim.iterdir()) == []


KILLED_WRITERS = """
import json, os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
from netclaw_opencode.opencode.process import locks, state
from netclaw_opencode._core.private_files import require_private_folder
place = Path(sys.argv[1])
old = state.ServerRecord("http://127.0.0.1:1", 1, 1, "boot", "pid:[1]", "u", "p" * 5000, "/b", "1.18.33", "/l", "mark")
new = replace(old, pid=2, password="q" * 9000)
state.write(place, old)
draw, seen, locked = random.Random(7), {1: 0, 2: 0}, 0
lock = require_private_folder(place) / "server.lock"
for _ in range(200):
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        locks._try_acquire(lock)
        os.write(go, b"x")
        while True:
            state.write(place, new)
            state.write(place, old)
    os.read(ready, 1)
    locked += locks._try_acquire(lock) is None
    time.sleep(draw.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready), os.close(go)
    found = state.read(place)
    assert found in (old, new), found
    seen[found.pid] += 1
    handle = locks._try_acquire(lock)
    assert handle is not None, "the lock of a killed process is free"
    os.close(handle)
state.write(place, old)
print(json.dumps({"seen": seen, "locked": locked, "left": sorted(os.listdir(place))}))
"""


def test_s23_writer_killed_two_hundred_times(tmp_path: Path) -> None:
    """S23: kill -9 in the middle: the record is the old one or the new one, never half; its lock is free at once."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WRITERS, str(tmp_path / "s")],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert sum(told["seen"].values()) == 200 and all(told["seen"].values()) and told["locked"] == 200
    assert told["left"] == ["server.json", "server.lock"], "a later write takes a killed one's half along"


@pytest.mark.parametrize("tail", ["", "/", "/.", "/../etc", "//", "/../../etc/"])
def test_s28_system_folders_in_every_spelling(tail: str) -> None:
    """S28: dots, slashes and doubled slashes lead to the same place, and that place is what counts."""
    for name in ("/etc", "/usr"):
        with pytest.raises(InvalidInput, match=r"belongs to the system|whole home or file system"):
            Places().require(check_directory(name + tail))
    for name in ("/", "/home", "/root", "/proc/1/..", "/../.."):
        with pytest.raises(InvalidInput):
            Places().require(name)


def test_s28_roots_and_links(tmp_path: Path) -> None:
    """S28: inside is inside, whatever the spelling; a sibling with a longer name is not; a link counts by its end, a root's too."""
    for name in ("root/project", "root-2", "home/project"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root" / "out").symlink_to(tmp_path / "root-2")
    (tmp_path / "way-in").symlink_to(tmp_path / "root" / "project")
    (tmp_path / "linked-root").symlink_to(tmp_path / "root")
    places = Places((tmp_path / "linked-root",), tmp_path / "home")
    for inside in ("root", "root/", "root/project", "root/./project/../project", "way-in", "linked-root/project"):
        places.require(str(tmp_path / inside))
    for outside in ("root-2", "root/out", "root/..", "home/project", "root/project/../../root-2", ""):
        with pytest.raises(InvalidInput, match="outside the allowed roots"):
            places.require(str(tmp_path / outside))
    free = Places(home=tmp_path / "home")
    free.require(str(tmp_path / "home" / "project"))
    with pytest.raises(InvalidInput, match="whole home"):
        free.require(str(tmp_path / "home"))
    Places((Path("/usr/share"),)).require("/usr/share")
