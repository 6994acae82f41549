"""A project that has code in it, as a test of trust writes it; every piece of the code leaves a marker when it runs."""

from __future__ import annotations

import json
from pathlib import Path


class Project:
    """A folder with code in it, and the markers that the code writes when it runs."""

    def __init__(self, folder: Path, marks: Path) -> None:
        self.folder = folder
        self._marks = marks
        self._config: dict[str, object] = {"$schema": "https://opencode.ai/config.json"}
        folder.mkdir(parents=True, exist_ok=True)
        marks.mkdir(exist_ok=True)

    @property
    def ran(self) -> list[str]:
        """What has run so far."""
        return sorted(item.name for item in self._marks.iterdir())

    def write(self, name: str, text: str) -> Path:
        """A file of the project. Its ``.opencode`` folder has nothing to install, so that no npm runs."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if ".opencode" in path.parts:
            inner = Path(*path.parts[: path.parts.index(".opencode") + 1])
            (inner / "node_modules").mkdir(exist_ok=True)
            locked = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
            (inner / "package-lock.json").write_text(json.dumps(locked), encoding="utf-8")
        return path

    def config(self, **content: object) -> Path:
        """Its ``opencode.json``, with this added."""
        self._config |= content
        return self.write("opencode.json", json.dumps(self._config))

    def shell(self, mark: str) -> list[str]:
        """A command that writes a marker."""
        return ["sh", "-c", f"touch {self._marks / mark}"]

    def script(self, mark: str, *, tool: bool = False) -> str:
        """A module that writes a marker when it is loaded."""
        what = '{description: "d", args: {}, async execute() { return "x" }}' if tool else "async () => ({})"
        return f'import fs from "fs"\nfs.writeFileSync({json.dumps(str(self._marks / mark))}, "x")\nexport default {what}\n'
