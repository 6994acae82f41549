"""The types of arguments: what a method takes beside texts, numbers and flags."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol, TypeAlias

from netclaw_opencode.facts import Decision, PendingRequest


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model of a provider, such as ``ModelRef("anthropic", "claude-sonnet-4-5")``."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class ModelLike(Protocol):
    """A model as results name it: ``result.model``."""

    @property
    def providerID(self) -> str: ...  # noqa: N802 - the server's own name

    @property
    def modelID(self) -> str: ...  # noqa: N802


Path: TypeAlias = str | os.PathLike[str]
"""A path; a relative one counts from the working directory of this process."""

Seconds: TypeAlias = float | timedelta
"""A time: a number of seconds, or a ``timedelta``."""

Model: TypeAlias = str | ModelRef | ModelLike | Mapping[str, str]
"""A model: ``"provider/model"``, a ``ModelRef``, ``{"providerID": …, "modelID": …}``, or the ``model`` of a result."""

PermissionAnswer: TypeAlias = Literal["once", "always", "reject"] | bool | Decision | None
"""An answer to a permission. True means once, False means reject; None leaves it to the plugins and the policy file."""

QuestionAnswer: TypeAlias = str | Sequence[str] | Sequence[Sequence[str]] | Decision | None
"""An answer to a request with questions: a label (or a text of your own) for the only question, or a list with one item for each
question, itself a label or a list of labels; ``Decision("reject")`` refuses; None leaves it to the plugins and the policy file."""

OnPermission: TypeAlias = Callable[[PendingRequest], PermissionAnswer | Awaitable[PermissionAnswer]]
"""Answers a permission that the agent asks for."""

OnQuestion: TypeAlias = Callable[[PendingRequest], QuestionAnswer | Awaitable[QuestionAnswer]]
"""Answers the questions that the agent asks."""

__all__ = ["Model", "ModelLike", "ModelRef", "OnPermission", "OnQuestion", "Path", "PermissionAnswer", "QuestionAnswer", "Seconds"]
