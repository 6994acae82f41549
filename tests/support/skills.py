"""Small repositories of skills, and ``skill validate`` run on them, for the tests of the check.

Owns how a skill is written to disk and how a JSON report is read; no claim.
"""

from __future__ import annotations

import json
from pathlib import Path

SAYS = "description: Keeps notes. Use it when one is wanted.\n"


def write_skill(root: Path, name: str, body: str = "Keep them.\n", front: str = SAYS, folder: str = "skills") -> Path:
    """Write a skill below ``root``; returns its folder."""
    home = root / folder / name
    home.mkdir(parents=True, exist_ok=True)
    (home / "SKILL.md").write_text(f"---\nname: {name}\n{front}---\n\n{body}", encoding="utf-8")
    return home


def make_repository(folder: Path) -> Path:
    """A repository with one right skill and one whose link leads nowhere."""
    root = folder / "repository"
    (root / ".git").mkdir(parents=True)
    write_skill(root, "right")
    write_skill(root, "wrong", "[a](gone.md)\n")
    return root


def configure(root: Path, text: str, name: str = ".netclaw-skill.toml") -> None:
    """Write a configuration."""
    (root / name).write_text(text, encoding="utf-8")


def codes(out: str) -> dict[str, list[str]]:
    """The codes of a JSON report by the name of the skill."""
    packages = json.loads(out)["packages"]
    return {package["name"] or Path(package["path"]).name: [found["code"] for found in package["findings"]] for package in packages}


__all__ = ["SAYS", "codes", "configure", "make_repository", "write_skill"]
