"""``run_batch`` from a file to its results, and from Python task by task; the submitter may be killed meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import anyio
import pytest

from netclaw_opencode import AsyncOpenCode, OpenCode
from netclaw_opencode.offline import Gated
from netclaw_opencode.testing.waiting import wait_until
from tests.batch.conftest import BatchPlace
from tests.support.pace import MACHINE_SECONDS

pytestmark = pytest.mark.real


def test_a_batch_outlives_its_submitter_and_the_same_file_goes_on_with_it(place: BatchPlace) -> None:
    """SIGKILL for ``run-batch``: its worker goes on; the file again, from Python, brings every result, each once in the results file."""
    gate = place.model.gate("the answer")
    place.model.when("held", Gated(gate, "half", " an answer"))
    tasks = place.home / "tasks.jsonl"
    directories = place.directories("a", "b", "c", "d")
    prompts = ["held", "quick 1", "quick 2", "quick 3"]
    lines = [{"id": prompt, "prompt": prompt, "directory": directory} for prompt, directory in zip(prompts, directories, strict=True)]
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "netclaw_opencode", "run", "run-batch", "--file", str(tasks), "--concurrency", "2"]
    with subprocess.Popen(command, env=place.environ, cwd=place.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as submitter:
        results = place.home / "tasks.jsonl.results.jsonl"
        assert gate.wait_reached(2 * MACHINE_SECONDS), place.logs()
        wait_until(lambda: results.exists() and b"quick" in results.read_bytes(), 2 * MACHINE_SECONDS, what="a first result")
        submitter.send_signal(signal.SIGKILL)
    # As if it had been killed in the middle of a line.
    results.write_bytes(results.read_bytes()[:-10])

    async def follow() -> list[str]:
        async with AsyncOpenCode(place.settings) as oc:
            found = []
            async for item in oc.run_batch(file=str(tasks), concurrency=2):
                found.append(f"{item.id}: {item.state}")
                if len(found) == 3:
                    gate.open()
            return found

    assert sorted(anyio.run(follow)) == ["held: completed", "quick 1: completed", "quick 2: completed", "quick 3: completed"]
    with OpenCode(place.settings) as oc:
        done = oc.run_batch(file=str(tasks), concurrency=2)
        assert (done.state, done.counts.completed, done.added) == ("done", 4, 0)
        assert done.results_file == str(results)
        assert sorted(item.id for item in oc.stream_batch(file=str(tasks), concurrency=2)) == sorted(prompts)
    written = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    assert sorted(each["id"] for each in written) == sorted(prompts)
    assert place.calls_of("held") == 1
