# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The result of ``list_providers``."""

from __future__ import annotations

from dataclasses import dataclass

from netclaw_opencode.api._results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProvidersProviderModel(Result):
    """One model.

    Attributes:
        id: Its id; provider/model is what other actions take.
        name: Its name.
        variants: How deep it can think, by name; empty: thinking is refused.
        context: Size of its context, in tokens; 0 where unknown.
        output: Its longest answer, in tokens; 0 where unknown.
        reasoning: Whether it can think.
        tool_call: Whether it can call tools, which coding needs.
    """

    id: str
    name: str
    variants: tuple[str, ...]
    context: int
    output: int
    reasoning: bool
    tool_call: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProvidersProvider(Result):
    """One provider.

    Attributes:
        id: Its id.
        name: Its name.
        connected: Whether it has credentials, that is, can be used now.
        models: Its models.
    """

    id: str
    name: str
    connected: bool
    models: tuple[ListProvidersProviderModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListProvidersResult(Result):
    """What list_providers returns.

    Attributes:
        providers: The providers; never a key of theirs.
        default_model: The model used if none is named, as provider/model.
        count: Number of providers returned.
    """

    providers: tuple[ListProvidersProvider, ...]
    default_model: str | None = None
    count: int


__all__ = ["ListProvidersProvider", "ListProvidersProviderModel", "ListProvidersResult"]
