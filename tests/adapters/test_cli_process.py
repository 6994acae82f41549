"""The command as a process of its own: quick help, completion, and streams that are closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netclaw_opencode import __version__

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("httpx", "jsonschema", "rich", "anyio", "pluggy", "asyncio", "psutil", "mcp", "pydantic")


def run_python(code: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter from the root of the project."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


@pytest.mark.parametrize("words", ["--help", "run --help", "run run-task --help", "inspect watch_events --help", "--version", "run nope"])
def test_help_imports_nothing_heavy(words: str) -> None:
    """--help of any level, --version and usage errors import no HTTP client, no validator, no event loop and no rich."""
    code = (
        f"import sys\nfrom netclaw_opencode.adapters.cli.app import run\nrun({words.split()!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    assert run_python(code).stderr == "[]\n"


def test_a_call_imports_no_rich_and_no_protocol_server() -> None:
    """A call with good arguments that prints JSON pays for HTTP and an event loop, not for what it has no use for."""
    code = (
        "import sys\nfrom netclaw_opencode.adapters.cli import main\nsys.argv[1:] = ['inspect', 'get-session-status']\n"
        "try:\n    main()\nexcept SystemExit as ending:\n"
        f"    print([name for name in {HEAVY!r} if sys.modules.get(name)], ending.code, file=sys.stderr)"
    )
    done = run_python(code, OPENCODE_API_URL="http://127.0.0.1:9", OPENCODE_SERVER_PASSWORD="nobody answers there")
    assert '"server_unreachable"' in done.stdout
    assert done.stderr == "['httpx', 'anyio', 'pluggy', 'asyncio', 'psutil'] 5\n"


def test_help_reads_only_the_schema_of_the_called_action() -> None:
    """The help of one action opens its own input schema and no other."""
    code = (
        "import sys\nopened = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and str(args[0]).endswith('put.json') and opened.append(str(args[0])))\n"
        "from netclaw_opencode.adapters.cli.app import run\nrun(['run', 'abort-session', '--help'])\n"
        "print([name.rsplit('/', 1)[-1] for name in opened], file=sys.stderr)"
    )
    assert run_python(code).stderr == "['abort_session.input.json']\n"


def test_the_module_runs_as_the_command() -> None:
    """`python -m netclaw_opencode` is the same command."""
    result = subprocess.run([sys.executable, "-m", "netclaw_opencode", "--version"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == f"netclaw-opencode {__version__}\n"


@pytest.mark.parametrize(("shell", "marker"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef"), ("fish", "complete --no-files")])
def test_shell_completion_is_offered(shell: str, marker: str) -> None:
    """click's completion script is printed for the shells that the README names."""
    code = "from netclaw_opencode.adapters.cli.app import run\nimport sys\nsys.exit(run([]))"
    assert marker in run_python(code, _NETCLAW_OPENCODE_COMPLETE=f"{shell}_source").stdout


def test_completion_knows_commands_options_and_values() -> None:
    """Tab completes actions, long options and the values of an enumeration."""
    code = "from netclaw_opencode.adapters.cli.app import run\nimport sys\nsys.exit(run([]))"
    for typed, expected in (
        ("run run-", "run-task"),
        ("run run-task --keep", "--keep-session"),
        ("reply reply-permission --answer on", "once"),
    ):
        words = f"netclaw-opencode {typed}"
        result = run_python(code, _NETCLAW_OPENCODE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
        assert f"plain,{expected}" in result.stdout


@pytest.mark.parametrize("words", ["actions --max-chars 0", "inspect nope"])
def test_a_reader_that_leaves_gets_no_traceback(words: str) -> None:
    """`… | head -0`: the command ends with exit code 1 and is silent."""
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with os.fdopen(writing, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-m", "netclaw_opencode", *words.split()],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
            env=environment,
            cwd=ROOT,
        )
    assert (result.returncode, result.stderr) == (1, b"")


def test_a_result_that_cannot_be_written_is_not_lost_in_silence() -> None:
    """A full disk, or a closed stdout, is told on stderr with exit code 1."""
    for closing in ("os.close(1)", "sys.stdout = None"):
        code = f"import os, sys\nfrom netclaw_opencode.adapters.cli.app import run\n{closing}\nsys.exit(run(['actions', '--max-chars=0']))"
        result = run_python(code)
        assert result.returncode == 1
        assert result.stderr.startswith("netclaw-opencode: the result could not be written: ")
        assert result.stderr.count("\n") == 1
