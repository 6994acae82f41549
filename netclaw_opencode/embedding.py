"""Envelopes back into Python: the data of one that succeeded, the exception of one that failed.

``OpenCode`` and ``AsyncOpenCode`` are the Python API (``netclaw_opencode.api``); they stand here for programs that import them
from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from netclaw_opencode.api.async_client import AsyncOpenCode
from netclaw_opencode.api.client import OpenCode
from netclaw_opencode.errors import DriverError, error_of
from netclaw_opencode.jsontypes import JsonObject


def data_of(envelope: JsonObject) -> dict[str, object]:
    """The ``data`` of a success envelope; raises the ``DriverError`` that a failure envelope tells of."""
    if envelope["ok"]:
        return dict(cast(JsonObject, envelope["data"]))
    raise error_from_wire(cast(JsonObject, envelope["error"]))


def error_from_wire(wire: JsonObject) -> DriverError:
    """The exception behind an envelope's ``error``: its ``to_wire()`` is equal to what is given."""
    code, details = str(wire["code"]), wire.get("details")
    rule, following = wire.get("rule"), wire.get("next")
    return error_of(
        code,
        str(wire["message"]),
        rule=None if rule is None else str(rule),
        next=None if following is None else str(following),
        details=details if isinstance(details, Mapping) else None,
    )


__all__ = ["AsyncOpenCode", "OpenCode", "data_of", "error_from_wire"]
