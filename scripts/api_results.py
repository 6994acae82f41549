"""The typed results as modules: one for each action, one for what several share, and a package that loads them when asked.

Owns which class stands where. Making a hundred dataclasses takes longer than a request to the server, and a program uses a few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from netclaw_opencode.manifest import ActionEntry, Manifest
from scripts.api_classes import MADE, Classes, camel, properties

PACKAGE = "netclaw_opencode.api.results"
SHARED = "shared"
_NAME = re.compile(r"\b[A-Z]\w+\b")

_HEAD = """from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from netclaw_opencode.api._results import Result
"""
_GENERIC = """
T = TypeVar("T")
_NOTHING: Any = None
"""
_LOADING = """
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
"""


def result_name(entry: ActionEntry) -> str:
    """The class of an action's result."""
    name = camel(entry.name.removeprefix("get_"))
    return name if name.endswith("Result") else f"{name}Result"


def is_generic(entry: ActionEntry) -> bool:
    """Whether the result's data has the type that the caller asks for."""
    return "output_schema" in properties(entry.input_schema) and "structured" in properties(entry.output_schema)


def modules(manifest: Manifest, *, taken: frozenset[str]) -> tuple[dict[str, str], list[str]]:
    """Every module of the package by its name, and the names of all classes."""
    classes = Classes(typed_dicts=False, taken=taken)
    for entry in manifest.actions.values():
        name = result_name(entry)
        about = {**entry.output_schema, "description": f"What {entry.name} returns"}
        classes.add(name, about, entry.output_schema, name.removesuffix("Result"), generic=is_generic(entry))
    homes = _homes(manifest, classes.texts)
    made = {"__init__": _package(homes)}
    for module in dict.fromkeys(homes.values()):
        own = {name: text for name, text in classes.texts.items() if homes[name] == module}
        made[module] = _module(module, own, homes)
    return made, [*classes.texts, "Result"]


def _homes(manifest: Manifest, texts: Mapping[str, str]) -> dict[str, str]:
    """The module of each class: that of the only action that uses it, or the shared one."""
    users: dict[str, set[str]] = {name: set() for name in texts}
    for entry in manifest.actions.values():
        for name in _closure(result_name(entry), texts):
            users[name].add(entry.name)
    return {name: next(iter(of)) if len(of) == 1 else SHARED for name, of in users.items()}


def _closure(name: str, texts: Mapping[str, str], seen: frozenset[str] = frozenset()) -> frozenset[str]:
    seen |= {name}
    for other in _parts(texts[name], texts) - seen:
        seen |= _closure(other, texts, seen)
    return seen


def _parts(text: str, texts: Mapping[str, str]) -> set[str]:
    """The classes that a class names in its annotations, which follow its docstring."""
    return set(_NAME.findall(text.rpartition('"""')[2])) & texts.keys()


def _module(module: str, own: Mapping[str, str], homes: Mapping[str, str]) -> str:
    about = "What the results of several actions have in common." if module == SHARED else f"The result of ``{module}``."
    others = sorted({name for text in own.values() for name in _parts(text, homes)} - own.keys())
    imports = "".join(f"from {PACKAGE}.{homes[name]} import {name}\n" for name in others)
    generic = _GENERIC if any("Generic[T]" in text for text in own.values()) else ""
    return MADE + f'"""{about}"""\n\n' + _HEAD + imports + generic + "\n\n" + "\n\n".join(own.values()) + f"\n\n__all__ = {sorted(own)!r}\n"


def _package(homes: Mapping[str, str]) -> str:
    imports = "".join(f"    from {PACKAGE}.{module} import {name}\n" for name, module in sorted(homes.items(), key=lambda item: item[::-1]))
    table = "".join(f'    "{name}": "{module}",\n' for name, module in sorted(homes.items()))
    return (
        MADE
        + '"""The results of actions, as frozen dataclasses; each is made when it is asked for."""\n\n'
        + "from __future__ import annotations\n\n"
        + "from collections.abc import Mapping\nfrom typing import TYPE_CHECKING\n\nfrom netclaw_opencode.api._results import Result\n\n"
        + f"if TYPE_CHECKING:\n{imports}\nHOMES: Mapping[str, str] = {{\n{table}}}\n"
        + f"__all__ = {sorted([*homes, 'Result'])!r}\n\n{_LOADING}"
    )


__all__ = ["PACKAGE", "is_generic", "modules", "result_name"]
