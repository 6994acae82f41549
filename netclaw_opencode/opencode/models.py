"""Which model, and how hard it thinks.

Owns the forms in which a caller names a model, the refusal of unknown ones *before* anything is sent (F15), and the
mapping of a thinking budget to a model's variant (F13: a ``thinking`` field is accepted and ignored by the server).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.wire.types import Model, ModelRef, Provider

_EFFORT_BUDGETS = {"none": 0, "off": 0, "minimal": 1024, "low": 4096, "medium": 12288, "high": 24576, "xhigh": 32768, "max": 65536}
"""Budgets, in tokens, that stand for an effort word where a variant names no number."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """A request for thinking; ``budget_tokens`` None means "as much as the model's strongest variant"."""

    enabled: bool
    budget_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ThinkingChoice:
    """Which variant a budget was mapped to."""

    requested_budget_tokens: int | None
    variant: str
    variant_budget_tokens: int | None

    def to_wire(self) -> dict[str, object]:
        wire: dict[str, object] = {"variant": self.variant}
        if self.requested_budget_tokens is not None:
            wire["requested_budget_tokens"] = self.requested_budget_tokens
        if self.variant_budget_tokens is not None:
            wire["variant_budget_tokens"] = self.variant_budget_tokens
        return wire


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What was read of one directory's configuration: the connected providers, the default model, and whether it shares."""

    providers: tuple[Provider, ...]
    default: ModelRef | None
    shares: bool = False
    """Whether the server's configuration publishes every session by itself."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{provider.id}/{model}" for provider in self.providers for model in provider.models)

    def find(self, ref: ModelRef) -> Model:
        """Return the model.

        Raises:
            InvalidInput: ``model_not_found``, with near names.
        """
        for provider in self.providers:
            if provider.id == ref.provider_id and ref.model_id in provider.models:
                return provider.models[ref.model_id]
        near = self.near(str(ref))
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InvalidInput(
            "model_not_found",
            f"no connected provider has the model {str(ref)[:120]!r}{hint}",
            details={"model": str(ref)[:200], "near": list(near), "connected": [provider.id for provider in self.providers]},
        )

    def near(self, name: str) -> tuple[str, ...]:
        """Up to five names like this one: of the whole name, else of the model's name under any provider."""
        close = difflib.get_close_matches(name, self.names, n=5, cutoff=0.6)
        if not close:
            tail = name.rsplit("/", 1)[-1]
            by_tail = {full.split("/", 1)[1]: full for full in self.names}
            close = [by_tail[item] for item in difflib.get_close_matches(tail, by_tail, n=5, cutoff=0.6)]
        return tuple(close)


def parse_model(value: object) -> ModelRef | None:
    """Read ``"provider/model"`` or ``{"providerID", "modelID"}``; None stays None. Raises ``InvalidInput``."""
    if value is None:
        return None
    if isinstance(value, str):
        # A model's own id may hold slashes; a provider's never does.
        provider, slash, model = value.partition("/")
        if slash and provider and model and not any(char.isspace() or not char.isprintable() for char in value):
            return ModelRef(provider, model)
        raise InvalidInput("invalid_input", f"model {value[:80]!r} must be provider/model, for example anthropic/claude-sonnet-4-5")
    if isinstance(value, Mapping):
        names = (value.get("providerID"), value.get("modelID"))
        if len(value) == 2 and all(isinstance(name, str) and name for name in names):
            return ModelRef(str(names[0]), str(names[1]))
    raise InvalidInput("invalid_input", 'model must be "provider/model" or {"providerID": "…", "modelID": "…"}')


def parse_thinking(value: object) -> Thinking | None:
    """Read ``{type, budget_tokens?}``, already checked by the input schema."""
    if not isinstance(value, Mapping):
        return None
    budget = value.get("budget_tokens")
    return Thinking(enabled=value.get("type") == "enabled", budget_tokens=budget if isinstance(budget, int) else None)


def choose_variant(model: Model, thinking: Thinking) -> ThinkingChoice | None:
    """Return the variant nearest to the budget; None where thinking is off and the model has nothing to turn off.

    Raises:
        InvalidInput: ``thinking_unsupported``, for a model without variants: silence would be a lie (F13).
    """
    budgets = {name: _budget_of(name, options) for name, options in model.variants.items()}
    known = {name: budget for name, budget in budgets.items() if budget is not None}
    if not thinking.enabled:
        off = next((name for name, budget in known.items() if budget == 0), None)
        return ThinkingChoice(0, off, 0) if off is not None else None
    # Asked to think, a model is never given the variant that turns thinking off, however near its budget.
    known = {name: budget for name, budget in known.items() if budget > 0}
    if not known:
        have = f"its variants ({', '.join(budgets)}) name no budget" if budgets else "it has no variants"
        raise InvalidInput(
            "thinking_unsupported",
            f"{model.provider_id}/{model.id} cannot be given a thinking budget: {have}",
            details={"model": f"{model.provider_id}/{model.id}", "variants": list(budgets)},
        )
    wanted = thinking.budget_tokens
    if wanted is None:
        name = max(known, key=lambda item: known[item])
    else:
        name = min(known, key=lambda item: (abs(known[item] - wanted), known[item]))
    return ThinkingChoice(wanted, name, known[name])


def _budget_of(name: str, options: JsonObject) -> int | None:
    """Return the budget, in tokens, that a variant stands for: a number in its options, else its effort word."""
    stated = _find_number(options, ("budgetTokens", "budget_tokens", "thinkingBudget", "maxTokens"))
    if stated is not None:
        return stated
    effort = options.get("reasoningEffort", options.get("effort"))
    return _EFFORT_BUDGETS.get(str(effort if isinstance(effort, str) else name).lower())


def _find_number(options: object, keys: Sequence[str]) -> int | None:
    if not isinstance(options, Mapping):
        return None
    for key, value in options.items():
        if key in keys and isinstance(value, int) and not isinstance(value, bool):
            return value
        found = _find_number(value, keys)
        if found is not None:
            return found
    return None
