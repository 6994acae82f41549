"""Secrets out of foreign text: provider errors come back verbatim, keys included (F45).

Owns the patterns of what looks like a credential. It does not shorten or escape; callers do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HIDDEN = "[redacted]"
_PATTERNS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_.=~-]{8,}"),
    re.compile(r"\b(?:(?:sk|pk|rk|gsk|hf|xai|glpat|gh[oprsu])[-_]|github_pat_|xox[abprs]-|AKIA|AIza)[-_A-Za-z0-9]{8,}"),
    # The quotes may be escaped: JSON inside of JSON.
    re.compile(
        r"(?i)(?:\b|_)(?:api[-_ ]?key|access[-_ ]?key|token|secret|password|authorization)([\\\"']*\s*[:=]\s*[\\\"']*)[^\s\\\"',;}]{4,}"
    ),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


def redacted(text: str, *, secrets: tuple[str, ...] = ()) -> str:
    """The text with known secrets and everything that looks like a credential replaced."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return text


def hidden(value: object, *, secrets: tuple[str, ...]) -> object:
    """A JSON value with the known secrets replaced in every text of it, names of fields included."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {hidden(name, secrets=secrets): hidden(item, secrets=secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item, secrets=secrets) for item in value]
    return value
