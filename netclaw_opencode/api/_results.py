"""What every typed result can do."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self, cast

from netclaw_opencode.api import _convert


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Data of an action, or a part of it. Fields that this version does not know stand in ``to_dict()`` only."""

    KEEPS_DATA: ClassVar[bool] = True
    _data: Mapping[str, object] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Make a result from its JSON form."""
        return cast(Self, _convert.parse(data, cls))

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form: what was received, or else the fields that are not empty."""
        if self._data is not None:
            return copy.deepcopy(dict(self._data))
        values = ((item.name, getattr(self, item.name)) for item in dataclasses.fields(self) if item.name != "_data")
        return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: object) -> object:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value


__all__ = ["Result"]
