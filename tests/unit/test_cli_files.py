"""A file named by a flag is read wholly and exactly, or refused with its path and the reason; nothing hangs."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from netclaw_opencode.adapters.cli import files
from netclaw_opencode.errors import InvalidInput


def refusal(path: str, *, max_bytes: int = files.MAX_BYTES) -> str:
    """The message that reading this path is refused with."""
    with pytest.raises(InvalidInput) as caught:
        files.read_text(path, flag="--prompt-file", max_bytes=max_bytes)
    assert caught.value.code == "invalid_input"
    return caught.value.message


def test_a_file_is_read_as_utf8_without_its_byte_order_mark(tmp_path: Path) -> None:
    """Text comes back exactly, line breaks included; only a byte order mark is left out."""
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xef\xbb\xbfGr\xc3\xbc\xc3\x9fe\r\n")
    assert files.read_text(str(file), flag="--prompt-file") == "Grüße\r\n"


def test_what_is_no_regular_file_is_named_as_what_it_is(tmp_path: Path) -> None:
    """A folder, a FIFO, a device and a socket are refused at once, without opening what could block."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert "is a socket" in refusal(str(tmp_path / "s"))
    assert f"--prompt-file: {str(tmp_path)!r} is a folder" in refusal(str(tmp_path))
    assert "is a FIFO" in refusal(str(fifo))
    assert "is a device" in refusal("/dev/zero")


def test_a_missing_file_is_shown_with_the_place_that_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a relative path the absolute one is told too, since the working folder is often the mistake."""
    monkeypatch.chdir(tmp_path)
    assert refusal("nope.txt") == f"--prompt-file: 'nope.txt' does not exist (looked for at {tmp_path}/nope.txt)"
    assert refusal(f"{tmp_path}/nope.txt") == f"--prompt-file: '{tmp_path}/nope.txt' does not exist"


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied is told as such, with the path."""

    def deny(*_args: object, **_more: object) -> int:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "secret.txt"
    file.write_text("x", encoding="utf-8")
    monkeypatch.setattr(os, "open", deny)
    assert refusal(str(file)) == f"--prompt-file: {str(file)!r} may not be read (permission denied)"


def test_a_path_that_no_system_has_is_refused() -> None:
    """A NUL in a path is an input error like any other."""
    assert "cannot be read" in refusal("a\0b")


@pytest.mark.parametrize(("raw", "offset"), [(b"abc\xff", 3), (b"\xef\xbb\xbfa\xc3", 4), (b"\xff\xfea\x00", 0)])
def test_a_file_that_is_not_utf8_is_refused_with_the_offset(tmp_path: Path, raw: bytes, offset: int) -> None:
    """The offset of the bad byte counts from the start of the file, byte order mark included."""
    file = tmp_path / "prompt.txt"
    file.write_bytes(raw)
    assert refusal(str(file)).endswith(f"is not UTF-8: byte 0x{raw[offset]:02x} at offset {offset}")


def test_one_mebibyte_is_the_limit_to_the_byte(tmp_path: Path) -> None:
    """A file of exactly the limit is read; one byte more is refused."""
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"x" * files.MAX_BYTES)
    assert len(files.read_text(str(file), flag="--prompt-file")) == 1024 * 1024
    file.write_bytes(b"x" * (files.MAX_BYTES + 1))
    assert "is larger than 1048576 bytes" in refusal(str(file))


def standard_input(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    """Put a stream in the place of standard input."""
    monkeypatch.setattr(sys, "stdin", stream)


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is read until the writer closes it; a stream without a descriptor is read too."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write("häppchen".encode())
    with open(reading, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
        standard_input(monkeypatch, stream)
        assert files.read_text("-", flag="--prompt-file") == "häppchen"
    standard_input(monkeypatch, io.TextIOWrapper(io.BytesIO(b"bytes")))
    assert files.read_text("-", flag="--prompt-file") == "bytes"


def test_silent_standard_input_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that gives nothing and stays open cannot hang the command."""
    reading, writing = os.pipe()
    monkeypatch.setattr(files, "STDIN_SILENCE_SECONDS", 0.01)
    with open(reading, encoding="utf-8") as stream, os.fdopen(writing, "wb"):  # noqa: PTH123 - a descriptor
        standard_input(monkeypatch, stream)
        assert "gave nothing for 0.01 s" in refusal("-")


def test_closed_or_typed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stdin at all, a closed one and a terminal each have their own clear words."""
    standard_input(monkeypatch, None)
    assert "standard input is closed" in refusal("-")
    closed = io.TextIOWrapper(io.BytesIO())
    closed.close()
    standard_input(monkeypatch, closed)
    assert "standard input is closed" in refusal("-")
    leader, follower = os.openpty()
    with os.fdopen(leader, "wb"), open(follower, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        standard_input(monkeypatch, stream)
        assert "standard input is a terminal" in refusal("-")


def test_standard_input_has_the_same_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless pipe is refused after the limit, not collected for ever."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(b"x" * 100)
    with open(reading, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        standard_input(monkeypatch, stream)
        assert "is larger than" in refusal("-", max_bytes=50)
