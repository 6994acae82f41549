"""Take secrets out of foreign text: provider errors come back verbatim, keys included (F45).

Shortening and escaping is the callers' work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_REPLACEMENT = "[redacted]"
_PATTERNS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_.=~-]{8,}"),
    re.compile(r"\b(?:(?:sk|pk|rk|gsk|hf|xai|glpat|gh[oprsu])[-_]|github_pat_|xox[abprs]-|AKIA|AIza)[-_A-Za-z0-9]{8,}"),
    # The quotes may be escaped: JSON inside of JSON.
    re.compile(
        r"(?i)(?:\b|_)(?:api[-_ ]?key|access[-_ ]?key|token|secret|password|authorization)([\\\"']*\s*[:=]\s*[\\\"']*)[^\s\\\"',;}]{4,}"
    ),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


_LONG = 16
"""From this length on a secret stands inside no word by chance, so it is hidden wherever it stands (in text quoted twice, too)."""


def redact(text: str, *, secrets: tuple[str, ...] = ()) -> str:
    """Replace known secrets and everything that looks like a credential.

    Args:
        text: Text from elsewhere.
        secrets: Secrets that are known.
    """
    text, _ = hide(text, secrets)
    for pattern in _PATTERNS:
        text = pattern.sub(_REPLACEMENT, text)
    return text


def hide(text: str, secrets: Iterable[str]) -> tuple[str, int]:
    """Replace known secrets, and count the places.

    A short one counts only as a whole token: the password ``test`` is no part of ``tests`` or of ``src/test_a.py``.
    """
    places = 0
    for secret in secrets:
        if secret and secret in text:
            text, found = _pattern(secret).subn(_REPLACEMENT, text)
            places += found
    return text, places


@lru_cache(maxsize=256)
def _pattern(secret: str) -> re.Pattern[str]:
    literal = re.escape(secret)
    if len(secret) >= _LONG:
        return re.compile(literal)
    # A dot or a slash joins it to a path; a full stop at the end of a sentence does not.
    return re.compile(rf"(?<![\w/\\-])(?<!\w\.){literal}(?![\w/\\-])(?!\.\w)")


def redact_json(value: object, *, secrets: tuple[str, ...]) -> object:
    """Replace the known secrets in every text of a JSON value, names of fields included."""
    return hide_in_json(value, secrets)[0]


def hide_in_json(value: object, secrets: tuple[str, ...]) -> tuple[object, int]:
    """``redact_json``, and how many places were changed."""
    places = 0

    def walk(item: object) -> object:
        nonlocal places
        if isinstance(item, str):
            text, found = hide(item, secrets)
            places += found
            return text
        if isinstance(item, Mapping):
            return {walk(name): walk(inner) for name, inner in item.items()}
        if isinstance(item, list | tuple):
            return [walk(inner) for inner in item]
        return item

    return walk(value), places
