"""A disk that gets full, on every machine: a small file system of its own if it may be mounted, else a limit on how large a file may get.

Owns making and removing it; either way the kernel refuses the write, for git as for us.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A folder whose disk can be filled; ``mounted`` says whether it is a file system of its own."""

    folder: Path
    mounted: bool

    @contextmanager
    def full(self, *, room: int = 0) -> Iterator[None]:
        """A block in which nothing more than so many bytes can be written there; files that are there can be read and removed."""
        if not self.mounted:
            import resource

            # A process that ignores the signal gets an error in place of it; git, which does not, ends.
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            return
        filler = self.folder / ".filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                file.truncate(max(0, file.tell() - room))
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def small_disk(folder: Path, *, mebibytes: int = 8) -> Iterator[SmallDisk]:
    """A small disk in a new folder."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(folder)]
    done = subprocess.run(["mount", *options], capture_output=True, check=False)  # noqa: S607 - the system's own
    mounted = done.returncode == 0
    try:
        yield SmallDisk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], capture_output=True, check=True)  # noqa: S607 - the system's own
            os.rmdir(folder)  # noqa: PTH106 - it must be empty now
