"""Files of a batch: the results as lines, predictions, and a folder with a page for each task, written while it is followed.

Owns when each of them is written, and what happens if one cannot be: the batch goes on, the trouble is reported, and what is missing is
written later. Their forms are ``batch.files``', ``batch.predictions``' and ``batch.folder``'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from anyio import to_thread

from netclaw_opencode import __version__
from netclaw_opencode.actions import arguments as read
from netclaw_opencode.batch import looking
from netclaw_opencode.batch.files import ResultsFile
from netclaw_opencode.batch.folder import RESULT, ResultsFolder, require_usable
from netclaw_opencode.batch.predictions import Predictions
from netclaw_opencode.errors import DriverError
from netclaw_opencode.facts import ProgressEvent
from netclaw_opencode.records.trajectory import Trajectory
from netclaw_opencode.report.batch_page import BatchRow, write_batch
from netclaw_opencode.report.page import render

if TYPE_CHECKING:
    from netclaw_opencode.actions.context import ActionContext
    from netclaw_opencode.batch.database import Database
    from netclaw_opencode.jsontypes import JsonObject

FIELDS = ("results_file", "predictions", "results_folder")
_PAGE = 100
_STEP_SECONDS = 2.0
"""After so long a step ends, so that the batch is looked at meanwhile."""
_RENEW_SECONDS, _RENEW_SHARE = 5.0, 0.05
"""What is written anew as a whole is written this seldom, and takes this share of the time at most."""
_AGAIN_SECONDS = 5.0
"""Before a disk that was full is tried again."""
_NAMED = 5


class Output(Protocol):
    """Something that results are written to."""

    def add(self, results: Iterable[JsonObject]) -> None:
        """Take up results, each once; raises ``OSError``, and then some of them are to be given again."""

    def renew(self, summary: JsonObject) -> None:
        """Bring up to date what is written as a whole; raises ``OSError``."""

    def close(self) -> None:
        """Hold nothing open any more."""


@dataclass(slots=True)
class _Place:
    """An output, and how far it is."""

    field: str
    path: Path
    output: Output
    after: int = 0
    rest_until: float = 0.0
    renew_at: float = 0.0
    problem: str = ""


class Outputs:
    """The files of one batch.

    Args:
        paths: Where each one goes, by its field.
        database: Where the batch is.
        emit: Reports an event.

    Raises:
        InvalidInput: One of them cannot be used.
    """

    def __init__(self, paths: Mapping[str, Path], database: Database, emit: Callable[[ProgressEvent], None]) -> None:
        self._paths = paths
        self._database = database
        self._emit = emit
        self._batch = ""
        self._troubles: list[str] = []
        self._places: list[_Place] = []
        if "results_file" in paths:
            self._places.append(_Place("results_file", paths["results_file"], ResultsFile(paths["results_file"])))
        if "predictions" in paths:
            self._places.append(_Place("predictions", paths["predictions"], Predictions(paths["predictions"], model=self._model_of)))
        if "results_folder" in paths:
            require_usable(paths["results_folder"])

    def begin(self, batch: str) -> None:
        """Take the batch, by its id; raises ``InvalidInput`` if the folder is another one's."""
        self._batch = batch
        if "results_folder" in self._paths:
            path = self._paths["results_folder"]
            self._places.append(_Place("results_folder", path, ResultsFolder(path, batch_id=batch, pages=_Pages())))

    async def write(self, summary: JsonObject, *, final: bool = False) -> bool:
        """Write some of what has ended since; ``final``: what is written as a whole, too. Returns whether that is all there is."""
        ends = time.monotonic() + _STEP_SECONDS
        # Asked of every one of them, so no generator that ends at the first.
        done = all([await to_thread.run_sync(partial(self._step, place, summary, ends, final=final)) for place in self._places])
        while self._troubles:
            self._emit(ProgressEvent("status", self._troubles.pop(0), facts={"problem": True}))
        return done

    async def write_all(self, summary: JsonObject) -> None:
        """Bring every file up to date."""
        while not await self.write(summary, final=True):
            pass

    def close(self) -> None:
        """Hold nothing open any more."""
        for place in self._places:
            place.output.close()

    def to_wire(self) -> dict[str, object]:
        """The path of each file by its field."""
        return {name: str(path) for name, path in self._paths.items()}

    def problems(self) -> list[str]:
        """What could not be written."""
        found = [f"{place.problem}; the same command again writes what is missing" for place in self._places if place.problem]
        for place in self._places:
            if isinstance(place.output, ResultsFolder):
                found += _note(place.output.unwritten, "could not be written into the folder; the same command again tries once more")
        return found

    def notes(self) -> list[str]:
        """What was not there to be written."""
        notes = []
        for place in self._places:
            if isinstance(place.output, ResultsFolder):
                gone = {item: "; ".join(missing) for item, missing in place.output.missing.items()}
                notes += _note(gone, "not with all files in the folder")
            if isinstance(place.output, Predictions):
                notes += _note(place.output.missing, "not with the patch of the result in the predictions")
        return notes

    def _model_of(self, item: str) -> str:
        return looking.model_of(self._database, self._batch, item) or "opencode"

    def _step(self, place: _Place, summary: JsonObject, ends: float, *, final: bool) -> bool:
        if time.monotonic() < place.rest_until and not final:
            return True
        try:
            more = True
            while more:
                page, after, more = looking.results(self._database, self._batch, after=place.after, limit=_PAGE)
                place.output.add(page)
                place.after = after
                if more and time.monotonic() > ends:
                    return False
            began = time.monotonic()
            if final or began >= place.renew_at:
                place.output.renew(summary)
                took = time.monotonic() - began
                place.renew_at = began + max(_RENEW_SECONDS, took / _RENEW_SHARE)
            place.problem = ""
        except OSError as error:
            problem = f"{place.field} {place.path} could not be written: {error.strerror or error}"
            if problem != place.problem:
                self._troubles.append(problem)
            place.problem, place.rest_until = problem, time.monotonic() + _AGAIN_SECONDS
        return True


@asynccontextmanager
async def opened(paths: Mapping[str, Path], database: Database, context: ActionContext) -> AsyncIterator[Outputs]:
    """The files of a batch for the time of one call; raises ``InvalidInput``."""
    outputs = await to_thread.run_sync(partial(Outputs, paths, database, context.hooks.on_event))
    try:
        yield outputs
    finally:
        outputs.close()


def paths_in(arguments: JsonObject) -> dict[str, Path]:
    """The files that the arguments name, by their fields."""
    given = {name: read.text(arguments, name) for name in FIELDS}
    return {name: Path(path).expanduser().absolute() for name, path in given.items() if path is not None}


def _note(items: Mapping[str, str], what: str) -> list[str]:
    if not items:
        return []
    shown = ", ".join(f"{item} ({why})" for item, why in list(items.items())[:_NAMED])
    return [f"{len(items)} task(s) {what}: {shown}{', …' if len(items) > _NAMED else ''}"]


class _Pages:
    """The pages as ``report`` makes them."""

    def row(self, result: JsonObject, page: str) -> JsonObject:
        return asdict(BatchRow.from_item(result, page=page))

    def task(self, result: JsonObject, transcript: bytes | None) -> str:
        return render(_trajectory(result, transcript))

    def batch(self, summary: JsonObject, rows: Iterable[JsonObject]) -> Iterator[str]:
        return write_batch(summary, (BatchRow(**cast("dict[str, object]", row)) for row in rows))  # type: ignore[arg-type]


def _trajectory(result: JsonObject, transcript: bytes | None) -> Trajectory:
    """The transcript of a task; what its result tells, if there is none or it cannot be read."""
    missing = f"the steps of this task: no transcript of it is kept; its answer stands in {RESULT}"
    if transcript is not None:
        try:
            return Trajectory.from_wire(json.loads(transcript))
        except (ValueError, DriverError) as error:
            missing = f"the steps of this task: its transcript cannot be read ({error})"
    data, problem = result.get("data"), result.get("error")
    error_wire = cast("JsonObject", problem) if isinstance(problem, Mapping) else None
    return Trajectory(
        action="run_task",
        version=__version__,
        began_at="",
        ended_at="",
        directory="",
        outcome=str(error_wire["code"]) if error_wire is not None else str(result["state"]),
        left_out=(missing,),
        result=cast("JsonObject", data) if isinstance(data, Mapping) else None,
        error=error_wire,
    )


__all__ = ["FIELDS", "Outputs", "opened", "paths_in"]
