"""One read for many who ask at the same moment: never older than the asking, never one for each."""

from __future__ import annotations

from functools import partial

import anyio

from netclaw_opencode.driver.shared import SharedReads
from netclaw_opencode.errors import ActionFailed, DriverError


class Source:
    """Answers with the number of the read, when it is let go."""

    def __init__(self, *, fails: bool = False) -> None:
        self.begun = 0
        self.fails = fails
        self.gate = anyio.Event()

    async def read(self) -> int:
        """One read."""
        self.begun += 1
        number = self.begun
        await self.gate.wait()
        if self.fails:
            raise ActionFailed("bad_response", f"read {number} was lost")
        return number


async def ask(shared: SharedReads[int], source: Source, answers: list[object]) -> None:
    """One asker, who keeps what came of it."""
    try:
        answers.append(await shared.read("status", source.read))
    except DriverError as error:
        error.details["mine"] = len(answers)
        answers.append(error)


async def crowd(source: Source, *, cancel_first: bool = False) -> list[object]:
    """One asker, and while that one's read is under way ten more."""
    shared: SharedReads[int] = SharedReads()
    answers: list[object] = []
    first = anyio.CancelScope()

    async def leading() -> None:
        with first:
            await ask(shared, source, answers)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leading)
        await anyio.wait_all_tasks_blocked()
        for _ in range(10):
            tasks.start_soon(ask, shared, source, answers)
        await anyio.wait_all_tasks_blocked()
        if cancel_first:
            first.cancel()
            await anyio.wait_all_tasks_blocked()
        source.gate.set()
    assert not shared._entries
    return answers


def test_many_askers_cost_one_read_that_began_after_their_asking() -> None:
    """The read that was under way when they asked is too old for them; the next one is everybody's."""
    source = Source()
    assert (anyio.run(crowd, source), source.begun) == ([1, *[2] * 10], 2)


def test_a_cancelled_reader_leaves_its_turn_to_the_next() -> None:
    """Nobody hangs on a read whose reader is gone."""
    source = Source()
    assert (anyio.run(partial(crowd, source, cancel_first=True)), source.begun) == ([2] * 10, 2)


def test_a_failure_is_everybodys_and_each_ones_own() -> None:
    """It is not tried again by each in turn, and what one adds to the error the others do not see."""
    source = Source(fails=True)
    answers = anyio.run(crowd, source)
    assert source.begun == 2
    assert [str(answer) for answer in answers[1:]] == ["read 2 was lost"] * 10
    assert [answer.details["mine"] for answer in answers if isinstance(answer, DriverError)] == list(range(11))


def test_keys_do_not_wait_for_one_another() -> None:
    """Another directory is another read."""

    async def main() -> None:
        shared: SharedReads[int] = SharedReads()
        slow, fast = Source(), Source()
        fast.gate.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(shared.read, "one", slow.read)
            await anyio.wait_all_tasks_blocked()
            assert await shared.read("other", fast.read) == 1
            slow.gate.set()

    anyio.run(main)
