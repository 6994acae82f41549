"""Harbor's own published models of ATIF, as judges of what is written for it.

Owns where they come from: ``scripts/setup.py`` unpacks the pinned wheel into ``.tools/models``; its modules of models need pydantic alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parents[2] / ".tools" / "models"


def check(document: Mapping[str, object]) -> Any:  # noqa: ANN401 - the models have no stubs
    """Return the document as Harbor's model; it raises pydantic's error where it does not fit."""
    assert (MODELS / "harbor" / "models" / "trajectories").is_dir(), f"{MODELS} has no models of Harbor: run make ready-dev"
    sys.path.append(str(MODELS))
    try:
        return importlib.import_module("harbor.models.trajectories").Trajectory.model_validate(dict(document))
    finally:
        sys.path.remove(str(MODELS))


__all__ = ["check"]
