"""Results as a file: one JSON line for each task that has ended, appended, each once, whoever was killed in between."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from netclaw_opencode.errors import InvalidInput

_BEGINNING = b'{"id": "'
"""How every line begins: only a beginning of such a line is taken out."""


class ResultsFile:
    """A file of results that is added to. A last line that was cut off is taken out, and its result written again.

    Raises ``InvalidInput`` where the file is no file of results, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: set[tuple[str, int]] = set()
        try:
            with path.open("ab+") as file:
                file.seek(0)
                whole = 0
                for line in file:
                    if not line.endswith(b"\n"):
                        if not _BEGINNING.startswith(line[: len(_BEGINNING)]):
                            raise ValueError("the last line is no result that was cut off")
                        break
                    self._written.add(_key(json.loads(line)))
                    whole += len(line)
                file.truncate(whole)
        except OSError as error:
            raise InvalidInput("invalid_input", f"results_file {path} cannot be written: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                "invalid_input", f"results_file {path} holds something else than results; name another file, or move it away"
            ) from error

    def add(self, results: Iterable[Mapping[str, object]]) -> None:
        """Append what is not there yet, and see it on the disk; raises ``OSError``, and then nothing of it was written."""
        new = [each for each in results if _key(each) not in self._written]
        if not new:
            return
        content = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in new).encode()
        with self.path.open("ab", buffering=0) as file:
            whole = file.seek(0, os.SEEK_END)
            try:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
        self._written.update(map(_key, new))

    def renew(self, _summary: Mapping[str, object]) -> None:
        """Nothing: it is only appended to."""

    def close(self) -> None:
        """Nothing is held open."""


def _key(result: Mapping[str, object]) -> tuple[str, int]:
    """A task that was tried again on purpose has a line for each end, told apart by ``tries``."""
    return str(result["id"]), int(str(result["tries"]))


__all__ = ["ResultsFile"]
