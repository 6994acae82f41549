"""Ports of this machine: find a free one, see whether one is taken, and by whom."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import time
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import psutil

_PAUSE_SECONDS = 0.05
_PORT_SECONDS = 1.0
"""How long a port that is taken is looked at again: an ended server of many threads lets go of its own after some milliseconds."""


def is_listening(pid: int, url: str) -> bool:
    """Return whether the port belongs to that very process, and not to a program that was faster."""
    try:
        port = urlsplit(url).port
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except (ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return any(item.status == psutil.CONN_LISTEN and item.laddr.port == port for item in sockets)


def find_public_listener(port: int) -> str | None:
    """Return an address other than loopback on which some process of this machine listens at that port; None if none is seen."""
    try:
        sockets = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS shows this only to root
        return None
    for item in sockets:
        host, *at = item.laddr or ("",)
        if item.status == psutil.CONN_LISTEN and at == [port] and not ipaddress.ip_address(host).is_loopback:
            return f"{host}:{port}"
    return None


def accepts_connections(port: int, *, within_seconds: float = 1.0) -> bool:
    """Return whether something takes connections at that port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=within_seconds).close()
    except OSError:
        return False
    return True


def pick_free_port() -> int:
    """Return a port that was free a moment ago; a faster program may take it, which ``spawn`` notices."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_until_free(port: int) -> bool:
    """Return whether the port can be had now or in a moment: threads of a server that has just ended may still hold its socket."""
    ends = time.monotonic() + _PORT_SECONDS
    while is_taken(port):
        if time.monotonic() >= ends:
            return False
        await anyio.sleep(_PAUSE_SECONDS)
    return True


def is_taken(port: int) -> bool:
    """Return whether the port cannot be had: another process listens there, or has it as the near end of a connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            # As servers do, so that a connection that has just ended is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
