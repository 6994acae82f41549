"""The Python API on the test server: settings that lead to it, and tasks that its model knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from netclaw_opencode import Settings
from netclaw_opencode.offline import OfflineModel, Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer


@pytest.fixture
def settings(opencode_server: OpenCodeServer, tmp_path: Path, leak_check: LeakCheck) -> Settings:
    """The way to the test server; nothing may be left on it."""
    return Settings.from_environment(
        {
            "OPENCODE_API_URL": opencode_server.base_url,
            "OPENCODE_SERVER_PASSWORD": opencode_server.password,
            "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
        }
    )


@pytest.fixture
def notes(tmp_path: Path, scripted: OfflineModel) -> Path:
    """A file outside of the agent's folder: to read it, the model must ask for a permission."""
    folder = tmp_path / "outside"
    folder.mkdir()
    file = folder / "notes.txt"
    file.write_text("the secret of bread is time\n", encoding="utf-8")
    scripted.when("read the notes", ToolCall("read", {"filePath": str(file)}), Text("I have read."))
    return file


@pytest.fixture
def database(scripted: OfflineModel) -> None:
    """A task in which the model asks a question."""
    asked = {
        "question": "Which database?",
        "header": "Database",
        "options": [{"label": "SQLite", "description": "a file"}, {"label": "PostgreSQL", "description": "a server"}],
    }
    scripted.when("choose a database", ToolCall("question", {"questions": [asked]}), Text("Chosen."))
