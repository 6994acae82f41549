"""Secrets out of foreign text: what looks like a credential goes, what does not stays."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netclaw_opencode._core.redaction import hide, redact

CANARY = "Zq7" + "canary0123456789"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}==",
        f"Incorrect API key provided: sk-{CANARY}",
        f"sk-ant-api03-{CANARY}-{CANARY}",
        f"sk_live_{CANARY}",
        f"gsk_{CANARY} is invalid",
        f"xai-{CANARY}",
        f"hf_{CANARY}",
        f"ghp_{CANARY}",
        f"github_pat_{CANARY}",
        f"glpat-{CANARY}",
        f"xoxb-{CANARY}",
        f"AKIA{CANARY}",
        f"AIza{CANARY}",
        f"api_key={CANARY}&q=1",
        f"API-KEY: {CANARY}",
        f'{{"apiKey": "{CANARY}"}}',
        f"{{'api_key': '{CANARY}'}}",
        f"access_token={CANARY}",
        f"OPENAI_API_KEY={CANARY}",
        f"AWS_SECRET_ACCESS_KEY={CANARY}",
        f"OPENCODE_SERVER_PASSWORD={CANARY}",
        f"client secret : {CANARY}",
        f"password={CANARY};next",
        f"https://user:{CANARY}@example.org/v1",
        json.dumps({"message": json.dumps({"provider": {"options": {"apiKey": CANARY}}})}),
        json.dumps(json.dumps({"message": json.dumps({"token": CANARY})})),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    """Keys, tokens, authorization headers and passwords, also inside JSON that was quoted once or twice (F45)."""
    shown = redact(text)
    assert "canary" not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize(
    "text",
    [
        "Model not found: offline/nosuch. Did you mean: offline/scripted?",
        "rate limit: 40000 tokens per minute, tokens: 120000",
        "max_tokens: 100000",
        "the skyscraper-model and pkgconfig-helpers and skip_everything_here",
        "see https://example.org:8080/v1/chat for the secret of good prompts",
        "password required",
        "basic idea",
        "invalid token at line 3",
        "",
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    """An error that was hidden for no reason helps nobody."""
    assert redact(text) == text


def test_known_secrets_are_hidden() -> None:
    """The server's own password has no recognizable shape; it is known, so it goes all the same, a long one wherever it stands."""
    assert redact("before hunter2 after, (hunter2).", secrets=("hunter2",)) == "before [redacted] after, ([redacted])."
    assert redact(f"x{CANARY}x", secrets=(CANARY,)) == "x[redacted]x"
    assert hide("a test, and tests/test_a.py of test", ("test",)) == ("a [redacted], and tests/test_a.py of [redacted]", 2)


def test_an_empty_secret_hides_nothing() -> None:
    """A server without a password must not turn every text into noise."""
    assert redact("text", secrets=("",)) == "text"


@settings(deadline=None)
@given(before=st.text(max_size=30), after=st.text(max_size=30), secret=st.text(string.ascii_uppercase, min_size=16, max_size=40))
def test_no_known_secret_survives(before: str, after: str, secret: str) -> None:
    """Whatever stands around one that is long enough to be no word."""
    assert secret not in redact(f"{before}{secret}{after}", secrets=(secret,))


@pytest.mark.parametrize(
    "text", ["sk-" + "a" * 100_000, "token=" * 20_000, "://" + "a" * 100_000, "\\" * 100_000, "password" + " " * 100_000]
)
def test_long_text_takes_no_long_time(text: str) -> None:
    """No pattern backtracks over a large answer: 100,000 characters in well under the time of a turn."""
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 5
