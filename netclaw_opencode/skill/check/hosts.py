"""The hosts whose rules a skill can be checked by: which document says so, which keys they read, what stands for the skill's folder.

One row for each host. ``contract`` is no host: it is our own contract for packages with a ``skill.yaml``, and always applies to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Host:
    """One set of rules.

    Args:
        name: What ``--for`` takes.
        title: What a reader calls it.
        document: Where its rules are written down.
        version: Which version of that document was read.
        keys: The frontmatter keys that it documents beyond those of the specification.
        max_files: How many files it takes in one skill; None where it says nothing.
    """

    name: str
    title: str
    document: str
    version: str
    keys: tuple[str, ...] = ()
    max_files: int | None = None


SPEC_KEYS = ("name", "description", "license", "compatibility", "allowed-tools", "metadata")
CONTRACT = "contract"
DEFAULT = ("spec",)

_ROWS = (
    Host(
        "spec",
        "the Agent Skills specification",
        "https://agentskills.io/specification and its validator skills-ref (agentskills validate)",
        "the specification at agentskills/agentskills 00d5a46a; skills-ref 0.1.1",
    ),
    Host(
        "claude",
        "Claude Code",
        "https://code.claude.com/docs/en/skills; for uploads https://platform.claude.com/docs/en/agents-and-tools/agent-skills/overview",
        "the page as it stood in 2026, with when_to_use, arguments and paths",
        (
            *("when_to_use", "argument-hint", "arguments", "disable-model-invocation", "user-invocable"),
            *("model", "effort", "context", "agent", "hooks", "paths", "shell"),
        ),
    ),
    Host(
        "hermes",
        "Hermes Agent",
        "NousResearch/hermes-agent: website/docs/developer-guide/creating-skills.md, tools/skills_guard.py",
        "the page at 0f988e85; the scanner skills-guard-v4 at 00067189",
        ("version", "author", "platforms", "prerequisites", "required_environment_variables", "required_credential_files"),
        50,
    ),
    Host(
        "netclaw",
        "NetClaw",
        "netclaw-dev/netclaw: src/Netclaw.Actors/Skills/SkillScanner.cs, src/Netclaw.Security/RegexPromptInjectionDetector.cs",
        "the reader at 337febe4; the detector at 1829660e",
        ("disable-model-invocation", "user-invocable", "invocable", "argument-hint"),
    ),
    Host(
        "openclaw",
        "OpenClaw",
        "openclaw/openclaw: docs/tools/skills.md",
        "00d92d90",
        ("homepage", "user-invocable", "disable-model-invocation", "command-dispatch", "command-tool", "command-arg-mode"),
        256,
    ),
    Host(
        CONTRACT,
        "a package with a skill.yaml",
        "docs/authors.md and schemas/skill.schema.json of this project",
        "1.0.0",
        max_files=1_000,
    ),
)

HOSTS: Mapping[str, Host] = MappingProxyType({row.name: row for row in _ROWS})
CHOICES = tuple(name for name in HOSTS if name != CONTRACT)

# Maps under metadata that a host reads as more than text.
METADATA_MAPS: Mapping[str, str] = MappingProxyType({"hermes": "hermes", "openclaw": "openclaw", "clawdbot": "openclaw"})

# The keys that a host documents below its map.
METADATA_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "hermes": (
            *("tags", "category", "related_skills", "requires_toolsets", "requires_tools", "fallback_for_toolsets", "fallback_for_tools"),
            *("config", "blueprint"),
        ),
        "openclaw": ("always", "emoji", "homepage", "os", "requires", "primaryEnv", "install", "skillKey"),
    }
)

# What stands for the skill's own folder, whoever documents it; longer ones first, so that none is cut in two.
SKILL_FOLDERS = (
    *("${CLAUDE_SKILL_DIR}", "${HERMES_SKILL_DIR}", "${SKILL_DIR}", "$CLAUDE_SKILL_DIR", "$SKILL_DIR"),
    *("{baseDir}", "{skill_dir}", "{SKILL_DIR}", "<skill-dir>", "<skill_dir>", "<SKILL_DIR>"),
)
# What stands for the plugin around it: the nearest folder that holds one of PLUGIN_MARKS.
PLUGIN_FOLDERS = ("${CLAUDE_PLUGIN_ROOT}", "$CLAUDE_PLUGIN_ROOT")
PLUGIN_MARKS = (".claude-plugin", ".codex-plugin", ".cursor-plugin", "plugin.json", "openclaw.plugin.json")


def readers_of(key: str) -> list[str]:
    """Return the titles of the hosts that document a frontmatter key beyond those of the specification."""
    return [host.title for host in HOSTS.values() if key in host.keys]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Resolve ``all``, and give the hosts in the order of the table, each once.

    Raises:
        KeyError: A name is none of ``CHOICES``.
    """
    asked = set(names)
    if "all" in asked:
        asked = (asked - {"all"}) | set(CHOICES)
    for name in sorted(asked):
        if name not in CHOICES:
            raise KeyError(name)
    return tuple(name for name in CHOICES if name in asked)


__all__ = [
    "CHOICES",
    "CONTRACT",
    "DEFAULT",
    "HOSTS",
    "METADATA_KEYS",
    "METADATA_MAPS",
    "PLUGIN_FOLDERS",
    "PLUGIN_MARKS",
    "SKILL_FOLDERS",
    "SPEC_KEYS",
    "Host",
    "expand",
    "readers_of",
]
