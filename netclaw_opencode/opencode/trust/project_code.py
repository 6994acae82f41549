"""Find the files that make OpenCode run code when it opens a directory.

Measured on OpenCode 1.18.33 (see docs/safety.md): from the directory up to the root of its git repository, or up to the root
of the file system if there is none. A directory without such files costs a few ``stat`` calls.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from netclaw_opencode.opencode.trust import jsonc
from netclaw_opencode.opencode.trust.keys import PLUGIN_KEYS, describe_effects, local_plugins

_CONFIGS = ("opencode.jsonc", "opencode.json")
_FOLDER = ".opencode"
_CODE = {"plugin": "a plugin", "plugins": "a plugin", "tool": "a tool", "tools": "a tool"}
_COMMANDS = ("command", "commands")
_OWN_PACKAGE = "@opencode-ai/plugin"
"""What OpenCode itself puts into the package.json of a ``.opencode`` folder."""
_PLAIN_PACKAGE = frozenset({"name", "version", "private", "type", "description", "license"})
_MOST_BYTES = 16 * 1024 * 1024
_MOST_FILES = 2000
_GIT_SECONDS = 10.0
_ALWAYS_PLUGIN = "plugin"


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file with what it makes OpenCode run; ``problem`` says why that is unknown."""

    path: Path
    runs: tuple[str, ...]
    digest: str
    plugin: bool = False
    """Runs even on a server without project code: OpenCode 1.18 has no switch for it."""
    problem: str | None = None

    def to_wire(self) -> dict[str, object]:
        """Return the form in errors and listings."""
        return {"file": str(self.path), "runs": list(self.runs)}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a file's identity was when it was read."""

    path: str
    mtime_ns: int
    size: int
    inode: int
    device: int


def find_project_code(directory: str, *, home: Path | None = None, environ: Mapping[str, str] | None = None) -> tuple[CodeFile, ...]:
    """Find what OpenCode would run on opening a directory, nearest first.

    Args:
        directory: an absolute path; where links lead is what counts, as for OpenCode.
        home: the user's home, whose own ``.opencode`` is the user's and no project's.
        environ: the environment in which ``git`` is asked where a repository ends.
    """
    home = home.resolve() if home is not None else None
    found: list[CodeFile] = []
    real = Path(os.path.realpath(directory))
    repository: Path | None = None
    above: list[Path] = []
    for folder in (real, *real.parents):
        if repository is None:
            found += _scan_folder(folder, home)
            if os.path.lexists(folder / ".git"):
                repository = folder
        elif _holds_any(folder):
            above.append(folder)
    if repository is not None and above:
        # Only git knows where its repository ends, and only there OpenCode stops.
        root = _toplevel(repository, environ)
        for folder in above:
            if root is None or not (folder != root and folder in root.parents and (root == real or root in real.parents)):
                found += _scan_folder(folder, home)
    return tuple(found)


def _holds_any(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (*_CONFIGS, _FOLDER))


def _toplevel(folder: Path, environ: Mapping[str, str] | None) -> Path | None:
    command = ["git", "rev-parse", "--show-toplevel"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environ or None, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = os.fsdecode(done.stdout).rstrip("\n")
    return Path(os.path.realpath(text)) if done.returncode == 0 and text else None


def _scan_folder(folder: Path, home: Path | None) -> Iterator[CodeFile]:
    for name in _CONFIGS:
        yield from _scan_config(folder / name)
    inner = folder / _FOLDER
    if folder != home and inner.is_dir():
        yield from _scan_opencode_folder(inner)


def _scan_opencode_folder(inner: Path) -> Iterator[CodeFile]:
    for name in _CONFIGS:
        yield from _scan_config(inner / name)
    for name, what in _CODE.items():
        yield from _scan_code(inner / name, what)
    yield from _scan_package(inner / "package.json")
    if os.path.lexists(inner / ".npmrc"):
        yield _whole_file(inner / ".npmrc", "settings for npm, which installs packages in that folder")
    for name in _COMMANDS:
        yield from _scan_commands(inner / name)


def _scan_config(path: Path) -> Iterator[CodeFile]:
    seen = _identify(path)
    if seen is None:
        return
    found = _read_config(seen) if isinstance(seen, _Seen) else _Config(problem=seen)
    if found.runs or found.problem is not None:
        parts = [found.content, *(_digest(path.parent / name) for name in found.local_plugins)]
        yield CodeFile(path, found.runs, _sha("\0".join(parts).encode("utf-8", "surrogatepass")), found.plugin, found.problem)


def _identify(path: Path) -> _Seen | str | None:
    """Return the file's identity; a text says what is wrong with it; None if there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return None if stat.S_ISDIR(status.st_mode) else "it is no regular file"
    if status.st_size > _MOST_BYTES:
        return f"it has more than {_MOST_BYTES} bytes"
    return _Seen(str(path), status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev)


@dataclass(frozen=True, slots=True)
class _Config:
    """What an ``opencode.json`` holds, apart from the plugins that it names by their files."""

    runs: tuple[str, ...] = ()
    content: str = ""
    plugin: bool = False
    local_plugins: tuple[str, ...] = ()
    problem: str | None = None


@lru_cache(maxsize=4096)
def _read_config(seen: _Seen) -> _Config:
    content = _read_content(Path(seen.path))
    if isinstance(content, str):
        return _Config(problem=content)
    text = content.decode("utf-8", "replace")
    if not text:
        return _Config()
    try:
        document = jsonc.parse(text)
    except jsonc.JsoncError as error:
        return _Config(problem=str(error))
    runs = list(describe_effects(document))
    sentences = [sentence for _, sentence in runs]
    if "{env:" in text or "{file:" in text:
        sentences.append("puts environment variables or files of yours into itself ({env:…}, {file:…})")
    plugin = any(key in (*PLUGIN_KEYS, "__proto__", "") for key, _ in runs)
    return _Config(tuple(sentences), _canonical(document), plugin, tuple(local_plugins(document)))


def _canonical(document: object) -> str:
    """Return the content without ``$schema``, which OpenCode adds by itself, and without comments."""

    def plain(value: object, *, top: bool = False) -> object:
        if isinstance(value, jsonc.Members):
            return [[key, plain(item)] for key, item in value.pairs if not (top and key == "$schema")]
        return {"list": [plain(item) for item in value]} if isinstance(value, list) else value

    return json.dumps(plain(document, top=True))


def _scan_code(folder: Path, what: str) -> Iterator[CodeFile]:
    """Plugins or tools; whatever stands beside and below them is theirs to import, and counts with them."""
    try:
        code = sorted(path for path in folder.iterdir() if path.suffix in (".ts", ".js") and not path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield CodeFile(folder, (), "", problem=f"it cannot be looked at ({error.strerror})")
        return
    if not code:
        return
    beside = _digest_of_tree(folder)
    for path in code:
        yield CodeFile(path, (f"is {what}",), beside, plugin=what.endswith(_ALWAYS_PLUGIN))


def _digest_of_tree(folder: Path) -> str:
    parts: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "node_modules")
        for name in sorted(names):
            path = Path(place, name)
            parts.append(f"{path.relative_to(folder)}\0{_digest(path)}")
        if len(parts) > _MOST_FILES:
            # Never equal to a digest that a user trusted.
            return f"more than {_MOST_FILES} files"
    return _sha("\n".join(parts).encode("utf-8", "surrogateescape"))


def _digest(path: Path) -> str:
    seen = _identify(path)
    return _read_digest(seen) if isinstance(seen, _Seen) else f"({seen})"


@lru_cache(maxsize=4096)
def _read_digest(seen: _Seen) -> str:
    content = _read_content(Path(seen.path))
    return _sha(content) if isinstance(content, bytes) else f"({content})"


def _scan_package(path: Path) -> Iterator[CodeFile]:
    seen = _identify(path)
    if seen is None:
        return
    content = _read_content(path) if isinstance(seen, _Seen) else seen
    if isinstance(content, str):
        yield CodeFile(path, (), "", problem=content)
        return
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        yield CodeFile(path, ("is a package.json that cannot be read, which npm is given",), _sha(content))
        return
    dependencies = found.get("dependencies")
    if isinstance(dependencies, dict):
        found["dependencies"] = {name: item for name, item in dependencies.items() if name != _OWN_PACKAGE}
    odd = {key: item for key, item in found.items() if key not in _PLAIN_PACKAGE and item not in ({}, [], None)}
    if odd:
        yield CodeFile(path, (f"makes npm install or run {', '.join(sorted(odd))[:200]}",), _sha(json.dumps(odd, sort_keys=True).encode()))


def _scan_commands(folder: Path) -> Iterator[CodeFile]:
    if not folder.is_dir():
        return
    for place, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            content = _read_content(path) if name.endswith(".md") else b""
            if isinstance(content, bytes) and b"!`" in content:
                yield CodeFile(path, ("is a command that runs a shell command when it is used",), _sha(content))


def _whole_file(path: Path, what: str) -> CodeFile:
    content = _read_content(path)
    return CodeFile(path, (f"is {what}",), _sha(content)) if isinstance(content, bytes) else CodeFile(path, (), "", problem=content)


def _read_content(path: Path) -> bytes | str:
    """Return the bytes of a regular file, or why there are none; a pipe in its place does not hang us."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return "it is no regular file"
        content = file.read(_MOST_BYTES + 1)
    return content if len(content) <= _MOST_BYTES else f"it has more than {_MOST_BYTES} bytes"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


__all__ = ["CodeFile", "find_project_code"]
