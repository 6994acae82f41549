"""The ``opencode-driver`` skill as a plugin: what ``skill.yaml`` declares, handed to whichever host asks.

Owns the way from a manifest to registrations, for our own skill and for anyone's. It holds no logic of an action and
knows no host: these are the same hooks that every plugin has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.hookspecs import SkillInfo, hookimpl
from netclaw_opencode.manifest import Manifest, own_manifest, read_own_schemas


def skill_of(manifest: Manifest) -> SkillInfo:
    """The skill that a manifest declares."""
    return SkillInfo(manifest.name, manifest.version, manifest.description, manifest.when_to_use)


def actions_of(manifest: Manifest) -> Iterator[ActionDefinition]:
    """The actions that a manifest declares; handlers stay places (``"module:function"``) until they are first called."""
    for entry in manifest.actions.values():
        yield ActionDefinition(
            name=entry.name,
            skill=manifest.name,
            tier=entry.tier,
            summary=entry.summary,
            description=entry.description,
            input_schema=entry.input_schema,
            output_schema=entry.output_schema,
            handler=entry.handler,
            deadline_seconds=entry.deadline_seconds,
            errors=manifest.errors_of(entry.name),
        )


@hookimpl
def netclaw_register_skills(register: Callable[[SkillInfo], None]) -> None:
    """Register ``opencode-driver``."""
    register(skill_of(own_manifest()))


@hookimpl
def netclaw_register_actions(register: Callable[[ActionDefinition], None]) -> None:
    """Register every action of ``skill.yaml``."""
    read_own_schemas()
    for definition in actions_of(own_manifest()):
        register(definition)


__all__ = ["actions_of", "netclaw_register_actions", "netclaw_register_skills", "skill_of"]
