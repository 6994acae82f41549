"""``skill new``: one call of ``skill.new``, and what to do next.

Owns the words and the form of the answer.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from netclaw_opencode import __version__
from netclaw_opencode.adapters.cli import output
from netclaw_opencode.adapters.cli.terminal import PROGRAM, one_line
from netclaw_opencode.errors import EXIT_DONE
from netclaw_opencode.skill.new.package import create_package


def new(name: str, *, to: str | None, output_format: str | None) -> int:
    """Write the package and say how to go on."""
    made = create_package(name, Path(to or "."), version=__version__)
    steps = [f"cd {shlex.quote(str(made.folder))}", 'pip install -e ".[dev]"', "pytest", f"{PROGRAM} skill validate --strict ."]
    if output.format_for(output_format) == "text":
        lines = [f"✓ {made.name} is written", *(f"  {file}" for file in made.files), "", "Next:", *(f"  {step}" for step in steps)]
        output.write_line("\n".join(one_line(line, 500) if line.strip() == line else f"  {one_line(line, 500)}" for line in lines))
    else:
        output.write_json({"ok": True, "name": made.name, "path": str(made.folder), "files": list(made.files), "next": steps})
    return EXIT_DONE


__all__ = ["new"]
