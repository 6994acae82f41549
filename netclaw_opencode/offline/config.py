"""The OpenCode configuration that makes the offline model its provider (F9).

Owns the names of the provider and its models. Knows nothing of sockets or scripts.
"""

from __future__ import annotations

import json
from pathlib import Path

PROVIDER = "offline"
MODELS = ("scripted", "thinker", "budgeted")
_LIMIT = {"context": 100_000, "output": 8_000}
_BUDGETS = {"low": 1_024, "medium": 8_192, "high": 24_576}


def provider_config(base_url: str, *, model: str = "scripted", **more: object) -> dict[str, object]:
    """The configuration to hand to OpenCode by ``OPENCODE_CONFIG_CONTENT``; ``more`` is added at the top level."""
    budgeted = {name: {"thinking": {"type": "enabled", "budgetTokens": n}} for name, n in _BUDGETS.items()}
    models: dict[str, object] = {
        "scripted": {"name": "Scripted", "tool_call": True, "limit": _LIMIT},
        "thinker": {"name": "Scripted thinker", "tool_call": True, "reasoning": True, "limit": _LIMIT},
        "budgeted": {
            "name": "Scripted thinker with budgets",
            "tool_call": True,
            "reasoning": True,
            "limit": _LIMIT,
            "variants": budgeted,
        },
    }
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Offline model",
        "options": {"baseURL": base_url, "apiKey": "offline"},
        "models": models,
    }
    return {
        "$schema": "https://opencode.ai/config.json",
        "provider": {PROVIDER: provider},
        "model": f"{PROVIDER}/{model}",
        "small_model": f"{PROVIDER}/scripted",
        # Without this OpenCode also offers its own hosted models, which would go out to the network.
        "enabled_providers": [PROVIDER],
        "share": "disabled",
        "autoupdate": False,
        **more,
    }


def keep_from_installing(config_home: Path) -> None:
    """Let an OpenCode with this ``XDG_CONFIG_HOME`` find its plugin package installed.

    In a fresh configuration folder it would fetch that package from npm in the background: over the network, and deaf to
    SIGTERM until it is done.
    """
    folder = config_home / "opencode"
    (folder / "node_modules").mkdir(parents=True, exist_ok=True)
    locked = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "*"}}}}
    (folder / "package-lock.json").write_text(json.dumps(locked), encoding="utf-8")


def offline_environment(config_home: Path) -> dict[str, str]:
    """Return the variables that keep an OpenCode with this ``XDG_CONFIG_HOME`` from the network, and prepare that folder.

    It knows no models but those of its configuration: the catalogue of all providers' models, which it carries, costs a second of
    CPU for each directory that it opens.
    """
    keep_from_installing(config_home)
    catalogue = config_home / "opencode" / "models.json"
    catalogue.write_text("{}", encoding="utf-8")
    return {
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_MODELS_PATH": str(catalogue),
    }
