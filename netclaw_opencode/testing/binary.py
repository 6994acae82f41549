"""Where the tests find the real OpenCode.

Owns that one answer. A test on the real server is never skipped: without OpenCode it fails and says what to do.
"""

from __future__ import annotations

import os
import shutil

import pytest

_MISSING = (
    "these tests drive a real OpenCode server and none was found: install it (`npm install -g opencode-ai@1.18.33`), "
    "put `opencode` on PATH, or name it by OPENCODE_DRIVER_BINARY"
)


def opencode_binary() -> str:
    """Return the path of ``opencode``: OPENCODE_DRIVER_BINARY, else PATH; fails the test when there is none."""
    named = os.environ.get("OPENCODE_DRIVER_BINARY")
    found = shutil.which(named or "opencode")
    if found is None:
        pytest.fail(_MISSING if not named else f"OPENCODE_DRIVER_BINARY names {named}, which cannot be run; {_MISSING}")
    return found
