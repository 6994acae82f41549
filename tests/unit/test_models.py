"""Which model and how hard it thinks: forms, near names, and a budget mapped to the nearest variant."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode.errors import InvalidInput
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.opencode.models import Catalogue, Thinking, choose_variant, parse_model, parse_thinking
from netclaw_opencode.opencode.wire.types import Model, ModelRef, Provider

BUDGETED: dict[str, JsonObject] = {
    "low": {"thinking": {"type": "enabled", "budgetTokens": 1024}},
    "medium": {"thinking": {"type": "enabled", "budgetTokens": 8192}},
    "high": {"thinking": {"type": "enabled", "budgetTokens": 24576}},
}
WORDS: dict[str, JsonObject] = {name: {"reasoningEffort": name} for name in ("none", "low", "medium", "high")}


def model(variants: dict[str, JsonObject], *, provider: str = "offline", name: str = "thinker") -> Model:
    """A model with these variants."""
    return Model(name, provider, name, variants, 100_000, 8_000, reasoning=True, tool_call=True)


def catalogue(*names: str) -> Catalogue:
    """A catalogue of models named provider/model."""
    providers: dict[str, dict[str, Model]] = {}
    for full in names:
        provider, _, name = full.partition("/")
        providers.setdefault(provider, {})[name] = model({}, provider=provider, name=name)
    return Catalogue(tuple(Provider(key, key, models) for key, models in providers.items()), None)


@pytest.mark.parametrize(
    ("given_form", "provider", "name"),
    [
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("openrouter/anthropic/claude-sonnet-4.5:beta", "openrouter", "anthropic/claude-sonnet-4.5:beta"),
        ("a//b", "a", "/b"),
        ({"providerID": "offline", "modelID": "scripted"}, "offline", "scripted"),
        ({"modelID": "x/y/z", "providerID": "hub"}, "hub", "x/y/z"),
    ],
)
def test_a_model_has_two_forms(given_form: object, provider: str, name: str) -> None:
    """Text splits at the first slash, since a model's own id may hold more of them; the object form is taken as it is."""
    found = parse_model(given_form)
    assert found == ModelRef(provider, name)
    assert str(found) == f"{provider}/{name}"
    assert found.to_wire() == {"providerID": provider, "modelID": name}


def test_no_model_stays_no_model() -> None:
    """None means the server's default, which is not ours to guess."""
    assert parse_model(None) is None


@pytest.mark.parametrize(
    "wrong",
    [
        *("gpt-5", "", "/", "/gpt", "openai/", " openai/gpt", "openai/gpt ", "open ai/gpt", "openai/gpt\n"),
        *({}, {"providerID": "a"}, {"providerID": "a", "modelID": ""}, {"providerID": 1, "modelID": "b"}),
        *({"id": "b", "providerID": "a"}, {"providerID": "a", "modelID": "b", "variant": "high"}),
        *(5, True, ["a/b"], ("a", "b")),
    ],
    ids=repr,
)
def test_another_form_is_refused_with_the_right_one(wrong: object) -> None:
    """A model without provider, with spaces, or in another shape: the error shows the form that is meant (B16)."""
    with pytest.raises(InvalidInput, match="provider/model") as caught:
        parse_model(wrong)
    assert caught.value.code == "invalid_input"


@settings(deadline=None)
@given(st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True), st.from_regex(r"[a-z0-9][a-z0-9./:_-]{0,30}", fullmatch=True))
def test_what_is_written_is_read_back(provider: str, name: str) -> None:
    """The text of a reference is a form of it."""
    assert parse_model(str(ModelRef(provider, name))) == ModelRef(provider, name)


def test_a_known_model_is_found() -> None:
    """Provider and model must both fit; a model's id is taken whole."""
    known = catalogue("offline/scripted", "hub/org/scripted")
    assert known.find(ModelRef("hub", "org/scripted")).provider_id == "hub"
    assert known.names == ("offline/scripted", "hub/org/scripted")


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("anthropic/claude-sonet-4-5", "anthropic/claude-sonnet-4-5"),
        ("antropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("openai/gtp-5", "openai/gpt-5"),
        # the right model under a provider that is not connected
        ("azure-cognitive/gpt-5", "openai/gpt-5"),
        ("x/y/gpt-5", "openai/gpt-5"),
    ],
)
def test_an_unknown_model_is_refused_with_near_names(asked: str, near: str) -> None:
    """The server would take it and run nothing (F15): so it is refused before, and the error says what was meant."""
    known = catalogue("anthropic/claude-sonnet-4-5", "openai/gpt-5", "offline/scripted")
    reference = parse_model(asked)
    assert reference is not None
    with pytest.raises(InvalidInput) as caught:
        known.find(reference)
    error = caught.value
    assert error.code == "model_not_found"
    assert near in error.message
    assert near in list(map(str, error.details["near"]))  # type: ignore[call-overload]  # a list, as read
    assert error.details["connected"] == ["anthropic", "openai", "offline"]


def test_there_are_at_most_five_near_names() -> None:
    """A provider with hundreds of models does not flood the message."""
    assert len(catalogue(*(f"p/model-{number}" for number in range(50))).near("p/model-")) == 5


def test_without_anything_near_nothing_is_suggested() -> None:
    """A wild guess helps nobody; no provider at all is no crash."""
    with pytest.raises(InvalidInput) as caught:
        catalogue("offline/scripted").find(ModelRef("q", "z" * 300))
    assert "did you mean" not in caught.value.message
    assert len(caught.value.message) < 250
    assert catalogue().near("a/b") == ()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (None, None),
        ({"type": "enabled"}, Thinking(True)),
        ({"type": "enabled", "budget_tokens": 2048}, Thinking(True, 2048)),
        ({"type": "disabled"}, Thinking(False)),
        ("enabled", None),
    ],
)
def test_thinking_is_read(value: object, read: Thinking | None) -> None:
    """The shape was checked by the schema; what is none is no wish."""
    assert parse_thinking(value) == read


@pytest.mark.parametrize(
    ("variants", "wanted", "variant", "budget"),
    [
        (BUDGETED, 1, "low", 1024),
        (BUDGETED, 1024, "low", 1024),
        (BUDGETED, 4607, "low", 1024),
        (BUDGETED, 4608, "low", 1024),  # as far from both: the cheaper one
        (BUDGETED, 4609, "medium", 8192),
        (BUDGETED, 20_000, "high", 24576),
        (BUDGETED, 10**9, "high", 24576),
        (BUDGETED, None, "high", 24576),
        (WORDS, 1, "low", 4096),
        (WORDS, 1024, "low", 4096),  # never "none": it was asked to think
        (WORDS, 12_000, "medium", 12288),
        (WORDS, None, "high", 24576),
        ({"max": {}, "minimal": {}}, 1024, "minimal", 1024),  # the variant's own name is the word
        ({"MAX": {"effort": "Max"}}, 1, "MAX", 65536),
        ({"deep": {"effort": "high"}, "fast": {"reasoningEffort": "minimal"}}, 20_000, "deep", 24576),
        ({"a": {"google": {"thinkingConfig": {"thinkingBudget": 500}}}, "b": {"budget_tokens": 900}}, 600, "a", 500),
        ({"odd": {"what": True}, "low": {"budgetTokens": True}}, 9, "low", 4096),  # no number there: the word counts
        ({"low": {"reasoningEffort": "low", "thinking": {"budgetTokens": 777}}}, 1, "low", 777),  # a number outweighs a word
    ],
)
def test_a_budget_becomes_the_nearest_variant(variants: dict[str, JsonObject], wanted: int | None, variant: str, budget: int) -> None:
    """Numbers in a variant's options count, else its effort word; no budget means the strongest (F13)."""
    choice = choose_variant(model(variants), Thinking(True, wanted))
    assert choice is not None
    assert (choice.variant, choice.variant_budget_tokens, choice.requested_budget_tokens) == (variant, budget, wanted)
    wire = {"variant": variant, "variant_budget_tokens": budget}
    assert choice.to_wire() == (wire if wanted is None else wire | {"requested_budget_tokens": wanted})


@pytest.mark.parametrize(
    ("variants", "variant"),
    [
        (WORDS, "none"),
        ({"fast": {"budgetTokens": 0}, "deep": {"budgetTokens": 9}}, "fast"),
        ({"off": {}}, "off"),
        (BUDGETED, None),
        ({}, None),
    ],
)
def test_thinking_is_turned_off_where_a_variant_does_that(variants: dict[str, JsonObject], variant: str | None) -> None:
    """A variant with budget zero is the off switch; a model without one has nothing to turn off."""
    choice = choose_variant(model(variants), Thinking(False))
    assert (choice.variant if choice is not None else None) == variant


@pytest.mark.parametrize(
    ("variants", "why"), [({}, "no variants"), ({"turbo": {"speed": 2}}, "turbo"), ({"none": {"reasoningEffort": "none"}}, "none")]
)
def test_a_budget_that_cannot_be_honoured_is_refused(variants: dict[str, JsonObject], why: str) -> None:
    """The server would accept it and ignore it (F13): the error says what the model has instead."""
    with pytest.raises(InvalidInput, match=why) as caught:
        choose_variant(model(variants), Thinking(True, 4096))
    assert caught.value.code == "thinking_unsupported"
    assert caught.value.details["variants"] == list(variants)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**6), min_size=1), st.integers(1, 10**6))
def test_no_variant_is_nearer_than_the_chosen_one(budgets: dict[str, int], wanted: int) -> None:
    """And of two equally near ones the cheaper is taken."""
    choice = choose_variant(model({name: {"budgetTokens": tokens} for name, tokens in budgets.items()}), Thinking(True, wanted))
    assert choice is not None and choice.variant_budget_tokens is not None
    chosen = choice.variant_budget_tokens
    assert budgets[choice.variant] == chosen
    assert (abs(chosen - wanted), chosen) == min((abs(tokens - wanted), tokens) for tokens in budgets.values())
