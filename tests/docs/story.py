"""The world that our pages tell of: two projects, and an offline model that knows the pages' prompts.

Owns what the stand-in answers. It must fit what docs/workflows.md and README.md show.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netclaw_opencode.offline import Conversation, Gate, OfflineModel, Step, Text, ToolCall
from netclaw_opencode.testing.waiting import SOON

HELLO = "import datetime\n\nprint(datetime.date.today())\n"
HELLO_WITH_DATE = """\
import argparse
import datetime

parser = argparse.ArgumentParser()
parser.add_argument("--date", default=datetime.date.today())
print(parser.parse_args().date)
"""
GREET = 'import sys\n\nprint(f"Hello, {sys.argv[1]}!")\n'
TESTS = 'import runpy\n\n\ndef test_it_runs():\n    runpy.run_path("hello.py")\n'


@dataclass(frozen=True, slots=True)
class Story:
    """The model, and the gate that holds the task which a page shows unfinished."""

    model: OfflineModel
    unfinished: Gate

    def after(self, envelope: Mapping[str, object]) -> None:
        """Let the held task go on once an unfinished wait was seen."""
        if envelope["action"] == "wait_for_session":
            self.unfinished.open()

    def before_wait(self) -> None:
        """See the held task where the page shows it: its file written, its last words not said."""
        assert self.unfinished.wait_reached(SOON)


@contextmanager
def story_model() -> Iterator[Story]:
    """The offline model with an answer to every prompt of the pages."""
    with OfflineModel() as model:
        gate = model.gate("the last words of the readme task")
        model.when("Write hello.py", write("hello.py", HELLO), Text("I wrote hello.py; it prints the current date."))
        model.when("Plan an option", read("hello.py"), Text("1. Parse --date with argparse.\n2. Print it; without it, today's date."))
        model.when("Implement the plan", write("hello.py", HELLO_WITH_DATE), Text("hello.py now takes --date."))
        model.when("Make a plan for the following task", Text("One file, greet.py: print a greeting for the first argument."))
        model.when("Implement the following task", write("greet.py", GREET), Text("I wrote greet.py as planned."))
        model.when("Why does the date parser", Text("Months are counted from 0 in one place and from 1 in another."))
        model.when("Write a README", write("README.md", "# hello.py\n\nPrints a date.\n"), (gate, Text("I wrote README.md.")))
        model.when("Write tests", write("test_hello.py", TESTS), Text("I wrote test_hello.py."))
        model.when("Write hi.py", write("hi.py", 'print("hi"\n'), Text("I wrote hi.py."))
        model.when("this check fails", write("hi.py", 'print("hi")\n'), Text("The bracket is closed now."))
        model.when("Run the examples", run_one_more)
        model.when("Which variables", read(".env"), Text("It sets two: MODE and PORT."))
        yield Story(model, gate)


def write(name: str, content: str) -> ToolCall:
    """The agent writes a file of its project."""
    return ToolCall("write", {"filePath": "${directory}/" + name, "content": content})


def read(name: str) -> ToolCall:
    """The agent reads a file of its project."""
    return ToolCall("read", {"filePath": "${directory}/" + name})


def run_one_more(conversation: Conversation) -> Step:
    """A turn without an end: whoever watches sees something happen for as long as it takes."""
    number = conversation.step + 1
    return ToolCall("bash", {"command": f"echo example {number}", "description": f"Run example {number}"}, pause_seconds=0.2)


def story_projects(home: Path) -> None:
    """``project``, a git repository, and ``project-tests``, a second worktree of it."""
    project = home / "project"
    project.mkdir(parents=True)
    (project / "LICENSE").write_text("none\n", encoding="utf-8")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "start")
    git(project, "worktree", "add", "-q", "--detach", str(home / "project-tests"))
    (project / ".env").write_text("MODE=dev\nPORT=8080\n", encoding="utf-8")


def git(directory: Path, *arguments: str) -> None:
    """Run git as nobody in particular."""
    settings = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *settings, *arguments], cwd=directory, check=True, stdin=subprocess.DEVNULL)  # noqa: S607 - git of PATH
