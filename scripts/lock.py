"""Renew the lists of pinned packages that ``make`` installs, ``.ci/requirements-*.txt``, from ``pyproject.toml``.

Each list holds what its level adds to the one before: the run-time dependencies with what builds the package, the tools of tests
and documentation, and those of the mutation check. One resolution serves Linux and macOS and every Python from the oldest on;
every package has its exact version and the hashes of all its files. What ``make harbor`` installs into a Python of its own is a list
by itself, from ``examples/harbor/requirements.in``.

    lock.py              keep the versions that still fit, add what is new, leave out what is gone
    lock.py --upgrade    take the newest versions
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from scripts.setup import LEVELS, OLDEST_PYTHON, REQUIREMENTS  # noqa: E402 - the checkout beside this file

EXTRAS: dict[str, tuple[str, ...]] = {"run": (), "dev": ("dev", "docs"), "mutants": ("dev", "docs", "mutants")}
INSTALLED_IN_PLACE = "editables"
"""What hatchling asks for besides when a package is installed in place."""
HEADER = "# Made by `make lock` from pyproject.toml. Exact versions and hashes of what this level of the set-up adds to the one before.\n"


HARBOR_INPUT = ROOT / "examples" / "harbor" / "requirements.in"
HARBOR = ROOT / ".ci" / "requirements-harbor.txt"
HARBOR_PYTHON = (3, 12)
HARBOR_HEADER = "# Made by `make lock` from examples/harbor/requirements.in. What `make harbor` installs into a Python of its own.\n"


def blocks_of(text: str) -> dict[str, str]:
    """The entries of a list of requirements by the name of the package, each with its hashes."""
    found = re.findall(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", text, re.MULTILINE)
    return {re.split(r"[=\s]", block, maxsplit=1)[0]: block for block in found}


def compile_list(sources: list[str], output: Path, *options: str, python: tuple[int, ...], given: str = "") -> dict[str, str]:
    """Everything that ``sources`` and ``given`` ask for; the versions that ``output`` names are kept where they fit."""
    fixed = ["--quiet", "--universal", "--fork-strategy=fewest", f"--python-version={'.'.join(map(str, python))}"]
    shown = ["--generate-hashes", "--no-header", "--annotation-style=line", f"--output-file={output}"]
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "compile", *sources, *fixed, *shown, *options]
    subprocess.run(uv, cwd=ROOT, input=given, stdout=subprocess.DEVNULL, text=True, check=True)
    return blocks_of(output.read_text(encoding="utf-8"))


def resolve(level: str, output: Path, *options: str) -> dict[str, str]:
    """Everything that ``level`` installs; the versions that ``output`` names are kept where they fit."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    extras = [f"--extra={name}" for name in EXTRAS[level]]
    return compile_list(
        ["pyproject.toml", "-"], output, *extras, *options, python=OLDEST_PYTHON, given="\n".join([*build, INSTALLED_IN_PLACE])
    )


def main(arguments: list[str]) -> int:
    """Write the lists."""
    if arguments not in ([], ["--upgrade"]):
        print(__doc__, file=sys.stderr)
        return 2
    below: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="netclaw-lock-") as folder:
        # The largest first: what it holds decides the versions of the smaller ones.
        whole, part = Path(folder) / "whole.txt", Path(folder) / "part.txt"
        whole.write_text("".join(path.read_text(encoding="utf-8") for path in REQUIREMENTS.values() if path.exists()), encoding="utf-8")
        resolve(list(LEVELS)[-1], whole, *arguments)
        for level, path in REQUIREMENTS.items():
            part.write_bytes(whole.read_bytes())
            blocks = resolve(level, part)
            own = [block for name, block in sorted(blocks.items()) if name not in below]
            path.write_text(HEADER + "".join(own), encoding="utf-8")
            below |= set(blocks)
            print(f"{path.relative_to(ROOT)}: {len(own)} packages")
        if HARBOR.exists():
            part.write_bytes(HARBOR.read_bytes())
        else:
            part.unlink()
        blocks = compile_list([str(HARBOR_INPUT.relative_to(ROOT))], part, *arguments, python=HARBOR_PYTHON)
        HARBOR.write_text(HARBOR_HEADER + "".join(block for _, block in sorted(blocks.items())), encoding="utf-8")
        print(f"{HARBOR.relative_to(ROOT)}: {len(blocks)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
