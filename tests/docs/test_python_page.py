"""docs/python.md tells the truth: every recipe runs on the real server and prints what the page shows."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from netclaw_opencode.offline import HangMidStream, OfflineModel, Text, ToolCall
from netclaw_opencode.testing.leaks import LeakCheck
from netclaw_opencode.testing.server import OpenCodeServer
from tests.docs.pages import HOME, LEFT_OUT, blocks_of, masked, page
from tests.docs.story import HELLO, run_one_more, story_projects, write
from tests.support.raw import warm

PAGE = page("docs/python.md")
RECIPES = {title: blocks_of(text) for title, text in re.findall(r"^## (\d+\. .+?)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)}
QUESTION = {
    "question": "Which database?",
    "header": "Database",
    "options": [{"label": "SQLite", "description": "a file"}, {"label": "PostgreSQL", "description": "a server"}],
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, opencode_server: OpenCodeServer) -> Path:
    """The folder that stands for the page's, with its project: one for all recipes, since the server opens each directory slowly."""
    home = tmp_path_factory.mktemp("python-page") / "me"
    story_projects(home)
    (home / "notes").mkdir()
    (home / "notes" / "notes.txt").write_text("bread\n", encoding="utf-8")
    warm(opencode_server, home / "project")
    return home


@pytest.fixture
def home(
    projects: Path,
    tmp_path: Path,
    opencode_server: OpenCodeServer,
    scripted: OfflineModel,
    leak_check: LeakCheck,  # nothing may be left behind by a recipe
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder of the projects, with the way to a server whose model knows the page's prompts."""
    home = projects
    scripted.when("Write hello.py", write("hello.py", HELLO), Text("I wrote hello.py; it prints the current date."))
    scripted.when("Explain main.py", Text("main.py prints a date."))
    scripted.when("Explain LICENSE", Text("LICENSE says: none."))
    scripted.when("Say it in three words", Text("Prints a date."))
    scripted.when("Review main.py", Text(json.dumps({"findings": [{"title": "The date has no zone.", "severity": "low"}]})))
    scripted.when("Run the examples", run_one_more)
    scripted.when("Read my notes", ToolCall("read", {"filePath": str(home / "notes" / "notes.txt")}), Text("The notes are about bread."))
    scripted.when("Choose a database", ToolCall("question", {"questions": [QUESTION]}), Text("Chosen."))
    scripted.when("Think for ever", HangMidStream("Let me see"))
    for name, value in {
        "OPENCODE_API_URL": opencode_server.base_url,
        "OPENCODE_SERVER_PASSWORD": opencode_server.password,
        "OPENCODE_DRIVER_STATE_DIR": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    return home


def different(shown: str, printed: str) -> bool:
    """Whether a program prints something else than what is shown, numbers and ``…`` aside."""
    lines = [".*" if line == LEFT_OUT else re.escape(masked(line)) for line in shown.splitlines()]
    pattern = "\n".join(lines).replace(".*\n", "(?:.*\n)*")
    return re.fullmatch(pattern + "\n", masked(printed)) is None


@pytest.mark.real
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_prints_what_the_page_shows(title: str, home: Path) -> None:
    """The program is run as it stands, but for the folder of the project."""
    program, shown = RECIPES[title]
    assert (program.kind, shown.kind) == ("python", "text")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = compile(program.text.replace(HOME, str(home)), f"{title}.py", "exec", dont_inherit=True)
        exec(code, {"__name__": "recipe"})  # noqa: S102 - our own page
    assert not different(shown.text, printed.getvalue().replace(str(home), HOME)), printed.getvalue()


def test_there_are_ten_recipes_and_each_is_short() -> None:
    """A recipe is read at a glance."""
    assert len(RECIPES) == 10
    assert all(len(blocks[0].text.splitlines()) <= 25 for blocks in RECIPES.values())
