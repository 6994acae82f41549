"""Reading what a flag names: a text file, or standard input for ``-``.

Owns the refusal of everything that is not a readable, small, regular UTF-8 file, with the exact path and reason. It never
blocks: a FIFO is not opened, and standard input is given up when it stays silent.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from netclaw_opencode.errors import InvalidInput

MAX_BYTES = 1024 * 1024
STDIN_SILENCE_SECONDS = 5.0
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a FIFO (for piped text use -)"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)


def read_text(path: str, *, flag: str, max_bytes: int = MAX_BYTES, notices: list[str] | None = None) -> str:
    """Return the text of the file, or of standard input where ``path`` is ``-``; a byte order mark is left out, with a notice.

    Raises:
        InvalidInput: ``invalid_input``, naming flag, path and reason.
    """
    shown = "standard input" if path == "-" else repr(path)
    raw = _read_stdin(flag, max_bytes) if path == "-" else _read_file(path, flag, max_bytes)
    if len(raw) > max_bytes:
        raise _input_error(flag, shown, f"is larger than {max_bytes} bytes (1 MiB)")
    if raw.startswith(_BYTE_ORDER_MARK) and notices is not None:
        notices.append(f"{flag}: the byte order mark at the beginning of {shown} was left out")
    try:
        return raw.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + (len(_BYTE_ORDER_MARK) if raw.startswith(_BYTE_ORDER_MARK) else 0)
        raise _input_error(flag, shown, f"is not UTF-8: byte 0x{raw[offset]:02x} at offset {offset}") from error


def _read_file(path: str, flag: str, max_bytes: int) -> bytes:
    shown = repr(path)
    try:
        _require_regular(Path(path).stat().st_mode, flag, shown)
        # Not blocking, and checked again once open: what was a file a moment ago may be a FIFO now.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            _require_regular(os.fstat(descriptor).st_mode, flag, shown)
            return file.read(max_bytes + 1)
    except FileNotFoundError as error:
        where = "" if Path(path).is_absolute() else f" (looked for at {Path(path).absolute()})"
        raise _input_error(flag, shown, f"does not exist{where}") from error
    except PermissionError as error:
        raise _input_error(flag, shown, "may not be read (permission denied)") from error
    except (OSError, ValueError) as error:
        raise _input_error(flag, shown, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _require_regular(mode: int, flag: str, shown: str) -> None:
    for is_kind, what in _KINDS:
        if is_kind(mode):
            raise _input_error(flag, shown, f"{what}, not a regular file")


def _read_stdin(flag: str, max_bytes: int) -> bytes:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise _input_error(flag, "standard input", "is closed")
    if stream.isatty():
        raise _input_error(flag, "standard input", "is a terminal; pipe the text in, or name a file")
    try:
        descriptor = stream.fileno()
    except OSError:  # not backed by a descriptor: it cannot block
        return bytes(stream.read(max_bytes + 1))
    return _read_descriptor(stream, descriptor, flag, max_bytes)


def _read_descriptor(stream: BinaryIO, descriptor: int, flag: str, max_bytes: int) -> bytes:
    read = bytearray()
    while len(read) <= max_bytes:
        ready, _, _ = select.select([descriptor], [], [], STDIN_SILENCE_SECONDS)
        if not ready:
            raise _input_error(flag, "standard input", f"gave nothing for {STDIN_SILENCE_SECONDS:g} s and was not closed")
        piece = os.read(descriptor, 65536)
        if not piece:
            break
        read += piece
    return bytes(read)


def _input_error(flag: str, shown: str, reason: str) -> InvalidInput:
    return InvalidInput("invalid_input", f"{flag}: {shown} {reason}")


__all__ = ["MAX_BYTES", "STDIN_SILENCE_SECONDS", "read_text"]
