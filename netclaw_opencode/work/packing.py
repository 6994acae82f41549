"""The first look at a folder with many files: their contents in one pack, and an index of them, in the forms of git.

Git's own ``update-index`` looks in its object folders before it writes each file; for twenty thousand files that takes more than twice as
long as reading and keeping them. Owns these three forms (pack and pack index version 2, index version 2), which git itself reads from then
on. Only for an index that does not exist yet, and for files that are kept as they are: what line ends, attributes or odd names change is
left to git.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import struct
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netclaw_opencode.work.git import Store

_ODD_NAME = re.compile(rb"(?i)(?:^|/)(?:\.git[ .:]*|git~[0-9]+)(?:/|$)|\\|(?:^|/)\.gitattributes$")
"""Names that git would not take, and files that say how others are kept."""
_STORED = 65535
"""The longest block of a zlib stream that is stored as it is; longer contents are worth compressing."""
_BLOB = 3
_CHANGING = re.compile(
    rb'autocrlf = "(?!false|no|off|0)|(?:filemode|symlinks) = "(?:false|no|off|0)|precomposeunicode = "(?!false|no|off|0)'
)
"""Settings by which git keeps something else than what stands in the file, or in its mode or name."""
_WORD = 0xFFFFFFFF
_HEADER = struct.Struct(">IIIIIIIIII")
_FLUSH_BYTES = 1 << 20


def can_pack(store: Store, paths: Sequence[bytes]) -> bool:
    """Return whether the files can be kept here: a new index, and nothing that changes contents or modes."""
    if os.name != "posix" or store.index.exists() or os.path.lexists(store.root / ".gitattributes"):
        return False
    # The store's own files say what counts: settings of the user or of the repository were copied there.
    attributes = store.folder / "info" / "attributes"
    if _CHANGING.search((store.folder / "config").read_bytes().lower()) or (attributes.exists() and attributes.stat().st_size):
        return False
    return not any(map(_ODD_NAME.search, paths))


def add_files(store: Store, paths: Iterable[bytes]) -> list[bytes]:
    """Keep the files in a new pack of the store, and write its index; return those that could not be read.

    Args:
        store: A store without an index.
        paths: Files and links, by their path from the work tree's top.
    """
    kind = "sha256" if store.folder.name == "sha256" else "sha1"
    pack = _Pack(store.folder / "objects" / "pack", kind)
    unread: list[bytes] = []
    entries: list[tuple[bytes, bytes]] = []
    root = os.fsencode(store.root) + b"/"
    try:
        for path in sorted(set(paths)):
            try:
                found, content = _read(root + path)
            except FileNotFoundError:  # gone meanwhile
                continue
            except OSError:
                unread.append(path)
                continue
            entries.append((path, _entry(path, found, pack.add(content))))
        pack.finish()
    except BaseException:
        pack.drop()
        raise
    _write_index(store.index, entries, kind)
    return unread


def _read(path: bytes) -> tuple[os.stat_result, bytes]:
    """A file's content, and what it was just before: one that changes meanwhile differs from that."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return found, os.readlink(path)  # noqa: PTH115 - names are bytes
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path!r} is no file any more")
        content = os.read(handle, found.st_size + 1)
        if len(content) < found.st_size:
            pieces = [content]
            while piece := os.read(handle, _FLUSH_BYTES):
                pieces.append(piece)
            content = b"".join(pieces)
        return found, content
    finally:
        os.close(handle)


def _entry(path: bytes, found: os.stat_result, name: bytes) -> bytes:
    """A file's entry in the index."""
    mode = 0o120000 if stat.S_ISLNK(found.st_mode) else 0o100755 if found.st_mode & 0o100 else 0o100644
    numbers = (
        *divmod(found.st_ctime_ns, 10**9),
        *divmod(found.st_mtime_ns, 10**9),
        found.st_dev & _WORD,
        found.st_ino & _WORD,
        mode,
        found.st_uid & _WORD,
        found.st_gid & _WORD,
        found.st_size & _WORD,
    )
    try:
        facts = _HEADER.pack(*numbers)
    except struct.error:  # a time before 1970
        facts = _HEADER.pack(*(number & _WORD for number in numbers))
    head = facts + name + min(len(path), 0xFFF).to_bytes(2, "big") + path
    return head + b"\0" * (8 - len(head) % 8)


def _write_index(index: Path, entries: Sequence[tuple[bytes, bytes]], kind: str) -> None:
    content = b"".join((b"DIRC", struct.pack(">II", 2, len(entries)), *(entry for _, entry in entries)))
    new = index.with_name(f"{index.name}.{secrets.token_hex(4)}")
    try:
        new.write_bytes(content + hashlib.new(kind, content).digest())
        new.replace(index)
    finally:
        new.unlink(missing_ok=True)


class _Pack:
    """A pack that is being written."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._path = folder / f"tmp_pack_{secrets.token_hex(6)}"
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o400), "w+b", buffering=0)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._size = 12
        self._known: dict[bytes, tuple[int, int]] = {}
        """Offset and checksum of each content by its name."""
        self._file.write(b"\0" * 12)

    def add(self, content: bytes) -> bytes:
        """Keep a content, once; return its name."""
        name = hashlib.new(self._kind, b"blob %d\0" % len(content) + content).digest()
        if name not in self._known:
            data = _object_head(len(content)) + _deflated(content)
            self._known[name] = (self._size, zlib.crc32(data))
            self._size += len(data)
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes > _FLUSH_BYTES:
                self._flush()
        return name

    def _flush(self) -> None:
        data = b"".join(self._pending)
        self._pending, self._pending_bytes = [], 0
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self) -> None:
        """Write down how many there are, and the pack's own index; then git sees it."""
        self._flush()
        # The digest begins with the number of contents, which is known only now.
        self._file.seek(0)
        self._file.write(b"PACK" + struct.pack(">II", 2, len(self._known)))
        self._file.seek(0)
        digest = hashlib.new(self._kind)
        while piece := self._file.read(_FLUSH_BYTES):
            digest.update(piece)
        checksum = digest.digest()
        self._file.write(checksum)
        os.fsync(self._file.fileno())
        self._file.close()
        names = sorted(self._known)
        counts = [0] * 256
        for name in names:
            counts[name[0]] += 1
        totals = accumulate(counts)
        index = b"".join(
            (
                b"\377tOc",
                struct.pack(">I256I", 2, *totals),
                *names,
                struct.pack(f">{len(names)}I", *(self._known[name][1] for name in names)),
                struct.pack(f">{len(names)}I", *(self._known[name][0] for name in names)),
                checksum,
            )
        )
        place = self._folder / f"pack-{checksum.hex()}"
        new = self._path.with_name(f"{self._path.name}.idx")
        with new.open("xb") as file:
            file.write(index + hashlib.new(self._kind, index).digest())
            file.flush()
            os.fsync(file.fileno())
        self._path.replace(place.with_suffix(".pack"))
        new.replace(place.with_suffix(".idx"))

    def drop(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._file.close()
        for path in (self._path, self._path.with_name(f"{self._path.name}.idx")):
            path.unlink(missing_ok=True)


def _object_head(size: int) -> bytes:
    """Kind and size of a content, seven bits at a time."""
    head = bytearray([_BLOB << 4 | size & 0xF])
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head)


def _deflated(content: bytes) -> bytes:
    size = len(content)
    if size > _STORED:
        return zlib.compress(content, 1)
    # One stored block: most files are small, and compressing them takes longer than all the rest.
    return b"".join((b"\x78\x01\x01", struct.pack("<HH", size, size ^ 0xFFFF), content, zlib.adler32(content).to_bytes(4, "big")))


__all__ = ["add_files", "can_pack"]
