"""Faults to draw from: what the model does, and what the wire does, with the texts that a right answer may have."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from netclaw_opencode.offline import (
    CloseSocket,
    ControlCharacters,
    CutStream,
    Drip,
    Empty,
    Garbage,
    Hang,
    HangMidStream,
    Html,
    Huge,
    Status,
    Step,
    Text,
    ToolCall,
)
from netclaw_opencode.testing.proxy import Cut, Edit, Fault, Latency, Silence, Slow, Stall, answer


@dataclass(frozen=True, slots=True)
class ModelFault:
    """What the model answers; ``success`` tells whether a turn may succeed with it at all."""

    name: str
    steps: tuple[Step, ...]
    success: bool = False


@dataclass(frozen=True, slots=True)
class WireFault:
    """A fault for the requests that fit ``route``, so many times (None: always)."""

    name: str
    route: str
    fault: Callable[[], Fault]
    times: int | None


MODEL = (
    ModelFault("R26 hangs", (Hang(),)),
    ModelFault("R27 hangs mid-stream", (HangMidStream(),)),
    ModelFault("R28 drips", (Drip(),)),
    ModelFault("R29 429", (Status(429),)),
    ModelFault("R30 429, retry after an hour", (Status(429, retry_after_seconds=3600),)),
    ModelFault("R31 500", (Status(500),)),
    ModelFault("R31 closed socket", (CloseSocket(),)),
    ModelFault("R32 401", (Status(401),)),
    ModelFault("R32 400", (Status(400),)),
    ModelFault("R33 garbage", (Garbage(),)),
    ModelFault("R34 stream without an end", (CutStream(),)),
    ModelFault("R35 captive portal", (Html(),)),
    ModelFault("R36 empty", (Empty(),)),
    ModelFault("R37 huge", (Huge(256 * 1024),), success=True),
    ModelFault("R38 control characters", (ControlCharacters(),), success=True),
    ModelFault("R39 a command hangs", (ToolCall("bash", {"command": "sleep 600", "description": "sleeps"}), Text("slept"))),
    ModelFault("R40 a permission is asked", (ToolCall("read", {"filePath": "/etc/hostname"}), Text("read"))),
)
_ROUTES = (
    "GET /session/status",
    "GET /session/*/message",
    "GET /session/ses_*",
    "POST /session",
    "POST */prompt_async",
    "POST */abort",
    "DELETE *",
    "GET /global/event",
    "GET /event",
    "GET /permission",
    "*",
)
_FAULTS: tuple[tuple[str, Callable[[random.Random], Fault]], ...] = (
    ("R18 latency", lambda draw: Latency(draw.choice((0.05, 0.3, 1.5)))),
    ("R20 drip", lambda draw: Slow(8, free=draw.choice((0, 200)))),
    ("R21 silence", lambda draw: Silence(forward=draw.random() < 0.5)),
    ("R21 stall", lambda draw: Stall(draw.choice((0, 10, 100)))),
    ("R22 reset", lambda _draw: Cut(head=0, reset=True)),
    ("R23 cut head", lambda _draw: Cut(head=20)),
    ("R23 cut body", lambda draw: Cut(body=draw.choice((0, 1, 50)))),
    ("R25 not JSON", lambda _draw: Edit(lambda _body: b"<html>")),
    ("R25 null", lambda _draw: Edit(lambda _body: b"null")),
    ("R15 redirect", lambda _draw: answer("", status=302, location="http://127.0.0.1:1/")),
    ("500", lambda _draw: answer('{"name":"UnknownError"}', status=500)),
    ("503", lambda _draw: answer("busy", status=503, kind="text/plain")),
)


def wire_fault(draw: random.Random) -> WireFault:
    """One of the wire, on one route."""
    route = draw.choice(_ROUTES)
    name, make = draw.choice(_FAULTS)
    fault = make(draw)
    times = draw.choice((1, 1, 2, 5, None))
    return WireFault(f"{name} x{times} on {route}", route, lambda: fault, times)


def model_fault(draw: random.Random) -> ModelFault:
    """One of the model."""
    return draw.choice(MODEL)


__all__ = ["MODEL", "ModelFault", "WireFault", "model_fault", "wire_fault"]
