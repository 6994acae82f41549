"""Say what of an ``opencode.json`` runs code, reaches out, or reads secrets when OpenCode opens its folder.

What is known to be harmless is listed here; whatever else a file holds counts as code, so that a key of a later OpenCode is
asked about and not let through.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from netclaw_opencode.opencode.trust.jsonc import Members

_HARMLESS = frozenset(
    {
        *("$schema", "logLevel", "server", "watcher", "snapshot", "snapshots", "share", "autoshare", "autoupdate", "username"),
        *("model", "small_model", "default_agent", "subagent_depth", "disabled_providers", "enabled_providers", "layout"),
        *("mode", "agent", "agents", "instructions", "skills", "permission", "permissions", "tools", "attachment", "attachments"),
        *("enterprise", "tool_output", "compaction", "theme", "keybinds", "tui", "media"),
    }
)
_BUILT_IN = frozenset(
    {
        *("@ai-sdk/amazon-bedrock", "@ai-sdk/amazon-bedrock/mantle", "@ai-sdk/anthropic", "@ai-sdk/azure", "@ai-sdk/google"),
        *("@ai-sdk/google-vertex", "@ai-sdk/google-vertex/anthropic", "@ai-sdk/openai", "@ai-sdk/openai-compatible"),
        *("@openrouter/ai-sdk-provider", "@ai-sdk/xai", "@ai-sdk/mistral", "@ai-sdk/groq", "@ai-sdk/deepinfra", "@ai-sdk/cerebras"),
        *("@ai-sdk/cohere", "@ai-sdk/gateway", "@ai-sdk/togetherai", "@ai-sdk/perplexity", "@ai-sdk/vercel", "@ai-sdk/alibaba"),
        *("gitlab-ai-provider", "@ai-sdk/github-copilot", "venice-ai-sdk-provider"),
    }
)
"""Packages of providers that OpenCode 1.18.33 has inside; any other is installed and run."""

_HARMLESS_EXPERIMENTS = frozenset(
    {
        *("disable_paste_summary", "batch_tool", "openTelemetry", "primary_tools", "continue_loop_on_deny", "mcp_timeout", "policies"),
        *("subagent_depth", "portable_shell_scanner"),
    }
)
_SHOWN = 120

PLUGIN_KEYS = ("plugin", "plugins")


def describe_effects(document: object) -> Iterator[tuple[str, str]]:
    """Pairs of a top-level key and what it makes OpenCode do, one sentence each."""
    if not isinstance(document, Members):
        yield "", f"it is no object but {_shorten(document)}"
        return
    if _holds_prototype(document):
        yield "__proto__", "a key __proto__, which may stand for any other"
    for key, value in document.pairs:
        if key in _HARMLESS or value is None:
            continue
        reader = _READERS.get(key)
        if reader is None:
            yield key, f"{key} is a setting of which it is not known that it runs nothing"
        else:
            yield from ((key, text) for text in reader(key, value))


def _holds_prototype(value: object) -> bool:
    if isinstance(value, Members):
        return any(key == "__proto__" or _holds_prototype(item) for key, item in value.pairs)
    return isinstance(value, list) and any(map(_holds_prototype, value))


def _plugins(key: str, value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        yield f"{key} loads {_shorten(item)}"


def _mcp(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, Members):
        yield f"{key} is {_shorten(value)}"
        return
    for name, item in value.pairs:
        where = f"{key}.{name}"
        if name == "timeout" and not _any_key(item, ("command", "url")):
            continue
        if name == "servers" and not _any_key(item, ("type", "command", "url"), deep=False):
            yield from _mcp(where, item)
        elif isinstance(item, Members) and "command" in item:
            yield f"{where} runs {_shorten(item['command'])}"
        elif isinstance(item, Members) and "url" in item:
            yield f"{where} connects to {_shorten(item['url'])}"
        elif not (isinstance(item, Members) and set(item) <= {"enabled", "disabled"}):
            yield f"{where} is {_shorten(item)}"


def _commands_on_files(key: str, value: object) -> Iterator[str]:
    """Formatters and language servers."""
    if value is False:
        return
    if not isinstance(value, Members):
        yield f"{key} is {_shorten(value)}: it turns on the programs that OpenCode knows of, some of which come out of the folder"
        return
    for name, item in value.pairs:
        if isinstance(item, Members) and item.get("disabled") is True and len(item.pairs) == 1:
            continue
        command = item.get("command") if isinstance(item, Members) else None
        yield f"{key}.{name} runs {_shorten(command)}" if command is not None else f"{key}.{name} is {_shorten(item)}"


def _templates(key: str, value: object) -> Iterator[str]:
    if not isinstance(value, Members):
        yield f"{key} is {_shorten(value)}"
        return
    yield from (f"{key}.{name} runs a shell command when it is used" for name, item in value.pairs if "!`" in _text(item))


def _providers(key: str, value: object) -> Iterator[str]:
    yield from (f"{key} loads the package {_shorten(name)}" for name in _packages(value) if name not in _BUILT_IN)


def _packages(value: object, under: str = "") -> Iterator[str]:
    if isinstance(value, Members):
        for name, item in value.pairs:
            yield from _packages(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _packages(item, under)
    elif under in ("npm", "package") and value is not None:
        yield str(value)


def _references(key: str, value: object) -> Iterator[str]:
    if _any_key(value, ("repository",)) or not isinstance(value, Members):
        yield f"{key} makes OpenCode get a repository: {_shorten(value)}"
        return
    for name, item in value.pairs:
        if isinstance(item, str) and not item.startswith((".", "/", "~")):
            yield f"{key}.{name} makes OpenCode get a repository: {_shorten(item)}"


def _shell(key: str, value: object) -> Iterator[str]:
    if value != "":
        yield f"{key} runs the agent's commands with {_shorten(value)}"


def _experiments(key: str, value: object) -> Iterator[str]:
    names = [name for name, _ in value.pairs] if isinstance(value, Members) else [_shorten(value)]
    yield from (
        f"{key}.{name} is a setting of which it is not known that it runs nothing" for name in names if name not in _HARMLESS_EXPERIMENTS
    )


def _any_key(value: object, wanted: tuple[str, ...], *, deep: bool = True) -> bool:
    if isinstance(value, Members):
        return any((key in wanted and not (not deep and isinstance(item, Members))) for key, item in value.pairs) or (
            deep and any(_any_key(item, wanted) for _, item in value.pairs)
        )
    return deep and isinstance(value, list) and any(_any_key(item, wanted) for item in value)


def _text(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)


def _shorten(value: object) -> str:
    text = _text(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_READERS = {
    **dict.fromkeys(PLUGIN_KEYS, _plugins),
    "mcp": _mcp,
    "formatter": _commands_on_files,
    "lsp": _commands_on_files,
    "command": _templates,
    "commands": _templates,
    "provider": _providers,
    "providers": _providers,
    "references": _references,
    "reference": _references,
    "shell": _shell,
    "experimental": _experiments,
}


def local_plugins(document: object) -> Iterator[str]:
    """Return the plugins that are files, as they are written."""
    if isinstance(document, Mapping):
        for key in PLUGIN_KEYS:
            value = document.get(key)
            for item in value if isinstance(value, list) else []:
                name = item[0] if isinstance(item, list) and item else item.get("package") if isinstance(item, Mapping) else item
                if isinstance(name, str) and (name.startswith((".", "/", "file://"))):
                    yield name.removeprefix("file://")


__all__ = ["PLUGIN_KEYS", "describe_effects", "local_plugins"]
