"""The hooks: the skill and its action from ``skill.yaml``, and the decision on a permission."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from netclaw_opencode.actions.registry import ActionDefinition
from netclaw_opencode.facts import Decision, PendingRequest
from netclaw_opencode.hookspecs import SkillInfo, hookimpl
from netclaw_opencode.manifest import Manifest, load_manifest
from netclaw_opencode.plugin import actions_of, skill_of
from opencode_permission_policy.policy import decide, folders_from


def manifest() -> Manifest:
    """``skill.yaml`` as it stands inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "skill.yaml"
    return load_manifest(inside if inside.is_file() else package.parent / "skill.yaml")


@hookimpl
def netclaw_register_skills(register: Callable[[SkillInfo], None]) -> None:
    register(skill_of(manifest()))


@hookimpl
def netclaw_register_actions(register: Callable[[ActionDefinition], None]) -> None:
    for definition in actions_of(manifest()):
        register(definition)


@hookimpl
def netclaw_decide_permission(request: PendingRequest) -> Decision:
    return decide(request, folders_from(os.environ))
