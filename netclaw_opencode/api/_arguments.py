"""From the arguments of a typed method to the JSON that an action takes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netclaw_opencode.api import _convert
from netclaw_opencode.errors import InvalidInput

if TYPE_CHECKING:
    from netclaw_opencode.api.types import Model, Seconds
    from netclaw_opencode.api.types import Path as PathLike


def given(values: Mapping[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Return what the caller gave: neither None nor the action's own default."""
    return {name: value for name, value in values.items() if value is not None and not _same(value, defaults.get(name))}


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and value == default


def path(value: PathLike | None) -> str | None:
    """Return a path as absolute text."""
    if value is None:
        return None
    text = os.fspath(value)
    # An empty text is a mistake that the action refuses; here it would become the working directory.
    return str(Path.cwd() / text) if text else text


def seconds(value: Seconds | None) -> float | None:
    """Return a time as a number of seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def model(value: Model | None) -> object:
    """Return a model as an action takes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    provider, name = getattr(value, "providerID", None), getattr(value, "modelID", None)
    if provider is not None and name is not None:
        return {"providerID": provider, "modelID": name}
    return str(value)


def models(values: Sequence[Model] | None) -> list[object] | None:
    """Return models as an action takes them."""
    if isinstance(values, str):
        raise InvalidInput("invalid_input", f"give a list of models, not the text {values!r}")
    return None if values is None else [model(value) for value in values]


def plain(value: object) -> object:
    """Return a list or mapping of whatever kind as JSON has it."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def schema(value: Mapping[str, object] | type | None) -> object:
    """Return an output schema: a mapping as it is, a type's own."""
    if value is None or isinstance(value, Mapping):
        return plain(value)
    return _convert.schema_of(value)


def answer_type(value: Mapping[str, object] | type | None) -> type | None:
    """Return the type that an answer is to have, if the output schema is one."""
    return value if isinstance(value, type) else None


__all__ = ["answer_type", "given", "model", "models", "path", "plain", "schema", "seconds"]
