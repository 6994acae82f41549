"""HTTP as bytes, as far as the fault proxy needs it: heads, lengths, chunks.

Owns reading a message from a socket and changing its head. It knows nothing of faults.
"""

from __future__ import annotations

import select
import socket
import threading

_PIECE = 64 * 1024
_LOOK_SECONDS = 0.1


def read_head(
    source: socket.socket, *, watched: socket.socket | None = None, stopping: threading.Event | None = None
) -> tuple[bytes, bytes]:
    """Up to the blank line; ``watched`` is the other side, whose leaving ends the wait."""
    data = b""
    while b"\r\n\r\n" not in data:
        while watched is not None:
            ready, _, _ = select.select([source, watched], [], [], _LOOK_SECONDS)
            if (watched in ready and not watched.recv(1, socket.MSG_PEEK)) or (stopping is not None and stopping.is_set()):
                return b"", b""
            if source in ready:
                break
        piece = source.recv(_PIECE)
        if not piece:
            return b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_exactly(source: socket.socket, size: int) -> bytes:
    """So many bytes.

    Raises:
        ConnectionError: If there are fewer.
    """
    data = b""
    while len(data) < size:
        piece = source.recv(min(_PIECE, size - len(data)))
        if not piece:
            raise ConnectionError
        data += piece
    return data


def read_all(source: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    data = b""
    while piece := source.recv(_PIECE):
        data += piece
    return data


def unchunked(body: bytes) -> bytes:
    """Return the content of a body in chunks."""
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole


def header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a header, named in lower case."""
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def _without(head: bytes, *names: bytes) -> list[bytes]:
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [line for line in lines if line.partition(b":")[0].strip().lower() not in names]


def closing(message: bytes) -> bytes:
    """Return the same request or head of an answer, with a connection that ends after it."""
    return b"\r\n".join([*_without(message, b"connection", b"keep-alive"), b"connection: close", b"", message.partition(b"\r\n\r\n")[2]])


def with_length(head: bytes, size: int) -> bytes:
    """Return the same head for a body of that length."""
    return b"\r\n".join([*_without(head, b"content-length", b"transfer-encoding"), b"content-length: %d" % size, b"", b""])
