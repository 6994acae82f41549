"""A manifest read: cheap, and only its form is looked at.

Owns the way from YAML to entries. No ``jsonschema``, no schema file and no handler is touched, so that ``--help`` can
afford it; ``checking`` is the thorough look.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

from netclaw_opencode._core.resources import find_bundled
from netclaw_opencode.jsontypes import JsonObject
from netclaw_opencode.manifest import compact
from netclaw_opencode.manifest.entries import ActionEntry, EnvironmentVariable, Example, Manifest, ManifestProblem, invalid


def load_manifest(path: Path | None = None) -> Manifest:
    """Read a manifest; ours where no path is given.

    Only its form is looked at. Raises ``InvalidInput`` (``invalid_manifest``) that lists every problem.
    """
    from netclaw_opencode._core.documents import read_yaml

    source = find_bundled("skill.yaml") if path is None else path.absolute()
    document = read_yaml(source)
    if not document.faults:
        try:
            return _manifest(document.value, source)
        except _OddFormError:
            pass
    # Rare and slow: whoever has to fix the file gets the whole list, not the first stumble.
    from netclaw_opencode.manifest.checking import mismatches

    problems = mismatches(source, check_handlers=False)
    raise invalid(
        source,
        problems or [ManifestProblem("skill.yaml", "it has not the form of a manifest", "compare it with schemas/skill.schema.json")],
    )


@cache
def own_manifest() -> Manifest:
    """Our own manifest, read once in a process: from its compact form unless that is out of date."""
    source = find_bundled("skill.yaml")
    content = compact.read_manifest(source)
    if content is None:
        return load_manifest()
    # Its paths were checked when the compact form was made.
    return _manifest(content, source, place=Path.joinpath)


def read_own_schemas() -> None:
    """Read the schemas of all our own actions at once, for whoever needs most of them."""
    manifest = own_manifest()
    schemas = compact.read_schemas(manifest.source.parent / "schemas" / "actions")
    for entry in manifest.actions.values():
        entry.remember(schemas)


def load_checked_manifest(path: Path, *, check_handlers: bool = False) -> Manifest:
    """Read a manifest that somebody else wrote; raises ``InvalidInput`` (``invalid_manifest``) for any mismatch.

    Without ``check_handlers`` nothing of the skill is imported.
    """
    from netclaw_opencode.manifest.checking import mismatches

    problems = mismatches(path.absolute(), check_handlers=check_handlers)
    if problems:
        raise invalid(path, problems)
    return load_manifest(path)


class _OddFormError(Exception):
    """The document is plain data, but not a manifest."""


def below(folder: Path, relative: str) -> Path:
    """Return the path of a schema file; raises where it would leave the manifest's folder, by ``..`` or by a link."""
    path = folder / relative
    try:
        inside = not Path(relative).is_absolute() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL in the name
        inside = False
    if not inside:
        raise _OddFormError
    return path


def _manifest(value: object, source: Path, *, place: Callable[[Path, str], Path] = below) -> Manifest:
    top = _object(value)
    actions = [_action(_object(entry), partial(place, source.parent)) for entry in _list(top, "actions")]
    if len({action.name for action in actions}) < len(actions):
        raise _OddFormError
    return Manifest(
        name=_text(top, "name"),
        version=_text(top, "version"),
        description=_text(top, "description"),
        when_to_use=_text(top, "when_to_use"),
        license=_optional_text(top, "license"),
        homepage=_optional_text(top, "homepage"),
        plugin=_optional_text(top, "plugin"),
        requires=MappingProxyType({name: str(value) for name, value in _object(top.get("requires", {})).items()}),
        environment=tuple(_variable(_object(entry)) for entry in _list(top, "environment")),
        common_errors=_texts(top, "common_errors"),
        actions=MappingProxyType({action.name: action for action in actions}),
        source=source,
    )


def _action(entry: JsonObject, place: Callable[[str], Path]) -> ActionEntry:
    return ActionEntry(
        name=_text(entry, "name"),
        summary=_text(entry, "summary"),
        description=_text(entry, "description"),
        tier=_text(entry, "tier"),
        handler=_text(entry, "handler"),
        input_path=place(_text(entry, "input")),
        output_path=place(_text(entry, "output")),
        deadline_seconds=_number(entry, "deadline_seconds"),
        errors=_texts(entry, "errors"),
        examples=tuple(_example(_object(item)) for item in _list(entry, "examples")),
        hints=_texts(entry, "hints"),
    )


def _variable(entry: JsonObject) -> EnvironmentVariable:
    secret = entry.get("secret")
    if not isinstance(secret, bool):
        raise _OddFormError
    return EnvironmentVariable(_text(entry, "name"), _text(entry, "description"), secret, _optional_text(entry, "default"))


def _example(entry: JsonObject) -> Example:
    return Example(_text(entry, "description"), _object(entry.get("input")), _object(entry.get("output")))


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise _OddFormError
    return value


def _list(entry: JsonObject, key: str) -> list[object]:
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise _OddFormError
    return value


def _texts(entry: JsonObject, key: str) -> tuple[str, ...]:
    values = _list(entry, key)
    if not all(isinstance(value, str) for value in values):
        raise _OddFormError
    return tuple(str(value) for value in values)


def _optional_text(entry: JsonObject, key: str) -> str | None:
    return _text(entry, key) if key in entry else None


def _text(entry: JsonObject, key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise _OddFormError
    return value.strip()


def _number(entry: JsonObject, key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _OddFormError
    return value
