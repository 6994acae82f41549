"""The architecture, held by reading the source: imports point one way, and each outside library has one place.

Owns the table of who may import whom (drawn in docs/architecture.md) and the house rules that a linter does not know.
Everything is read with ``ast``, so imports inside functions and under ``TYPE_CHECKING`` count too.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "netclaw_opencode"
LONGEST_FILE = 400

PUBLIC = {"errors", "facts", "jsontypes", "settings"}
"""Modules at the top that everybody may import, users included."""
CORE = PUBLIC | {"_core"}
ADAPTERS = {"__main__", "adapters", "api", "hermes", "host", "plugin"}

MAY_IMPORT: Mapping[str, set[str]] = {
    # A room is a folder or a module of the package. It may import itself and what stands here, which may be a module of another room;
    # a new room must be entered. From the top of the house down:
    "__init__": {"api", "errors", "facts", "host", "settings"},
    # What others test with starts servers by hand, so that the driver can be judged by it.
    "testing": CORE | {"actions", "hookspecs", "offline"} | ADAPTERS,
    # The demo plays the model provider, which nothing but a demonstration or a test may do.
    "adapters": CORE | {"actions", "batch", "hookspecs", "manifest", "offline", "skill"} | ADAPTERS,
    "__main__": {"adapters"},
    "hermes": CORE | {"actions", "host", "manifest"},
    "api": CORE | {"host"},
    "host": CORE | {"actions", "hookspecs", "manifest", "plugin"},
    "plugin": CORE | {"actions", "hookspecs", "manifest"},
    "hookspecs": CORE | {"actions"},
    # What the driver returns is made of frozen types of the wire; the wire itself stays out of reach.
    "actions": CORE | {"batch", "doctor", "driver", "opencode", "records", "report", "work"},
    # A batch runs its tasks as anybody does, through the registry: by a host that the worker command hands in. What is remembered under the
    # keys of its tasks it forgets itself.
    "batch": CORE | {"opencode", "work.keyed"},
    "doctor": CORE | {"driver", "opencode"},
    "driver": CORE | {"opencode", "records"},
    # Git, folders and the caller's own check: it knows no server.
    "work": CORE,
    "opencode": CORE | {"records"},
    # Pages are made from what the records hold; they ask nobody.
    "report": CORE | {"records"},
    "skill": CORE | {"manifest"},
    "manifest": CORE,
    "records": CORE,
    "offline": {"errors"},
    "_core": CORE,
    "settings": CORE,
    "facts": {"errors"},
    "errors": set(),
    "jsontypes": set(),
}

ONLY_IN: Mapping[str, set[str]] = {
    # An outside library, and the rooms or modules that may import it.
    "httpx": {"opencode.wire", "testing"},
    "httpx_sse": {"opencode.wire"},
    "click": {"adapters.cli"},
    "rich": {"adapters.cli"},
    "pluggy": {"hookspecs", "host", "plugin"},
    "psutil": {"opencode.process", "work.checking", "adapters.cli.demo", "testing"},
    "pytest": {"testing"},
    "yaml": {"_core.documents"},
    "markdown_it": {"report.prose", "skill.check.markdown"},
    "opentelemetry": {"report.spans"},
    "pygments": {"report.colours"},
    "jsonschema": {"_core.validation"},
    "referencing": {"_core.validation"},
    "dbos": {"batch.engine"},
    "sqlalchemy": {"batch"},
    "mcp": {"adapters.mcp.serving", "adapters.mcp.elicitation"},
    "mcp_types": {"adapters.mcp.serving", "adapters.mcp.elicitation"},
}

BROUGHT_BY = {"mcp_types": "mcp", "referencing": "jsonschema"}
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "httpx_sse": "httpx-sse",
    "markdown_it": "markdown-it-py",
    "opentelemetry": "opentelemetry-exporter-otlp-proto-http",
}
MADE = {
    *(".git", ".venv", ".tools", "build", "dist", "__pycache__"),
    *(".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
}
BAD_NAMES = {"utils", "util", "helpers", "helper", "manager", "data", "info", "common", "misc"}


def module_name(path: Path) -> str:
    """``netclaw_opencode/opencode/wire/http.py`` as ``client.http``; a package's ``__init__`` as the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
SOURCES = sorted(
    path
    for folder in ("netclaw_opencode", "tests", "scripts", "examples")
    for path in (ROOT / folder).rglob("*.py")
    # Example packages are data; some are wrong on purpose.
    if ROOT / "tests" / "packages" not in path.parents
)


def imports_of(module: str) -> Iterator[str]:
    """What ``module`` imports anywhere in its text, each name with its whole path."""
    path = MODULES[module]
    base = ["netclaw_opencode", *module.split(".")]
    if path.name != "__init__.py" or module == "__init__":
        base = base[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = base[: len(base) - node.level + 1] if node.level else []
            target = ".".join([*above, *([node.module] if node.module else [])])
            # The name may be a module itself: from netclaw_opencode.opencode.wire import routes.
            yield from (f"{target}.{alias.name}" for alias in node.names)


def texts() -> Iterator[Path]:
    """Every file of the repository but this one, which must name what it looks for; nothing that was made or fetched."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE]
        yield from (path for path in (Path(folder, name) for name in names if name not in MADE) if path != Path(__file__).resolve())


def inside(module: str, places: set[str]) -> bool:
    """Whether ``module`` is one of ``places`` or stands in one."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def test_imports_point_one_way() -> None:
    """A room imports only what the table allows: adapters, host, actions, driver, OpenCode, core; offline stands alone."""
    parts = {module.partition(".")[0] for module in MODULES}
    assert not parts - set(MAY_IMPORT), "these have no place in the architecture yet: enter them into MAY_IMPORT and docs/architecture.md"
    wrong = []
    for module in MODULES:
        part = module.partition(".")[0]
        imported = {name.removeprefix("netclaw_opencode.") for name in imports_of(module) if name.startswith("netclaw_opencode.")}
        allowed = MAY_IMPORT[part] | {part, "__version__"}
        wrong += [f"{module} must not import {name}" for name in sorted(imported) if not inside(name, allowed)]
    assert wrong == []


def test_outside_libraries_have_one_place() -> None:
    """Only client/ speaks HTTP, only cli/ draws on a terminal, and so on."""
    wrong = []
    for module in MODULES:
        outside = sorted({name.partition(".")[0] for name in imports_of(module)})
        wrong += [f"{module} must not import {name}" for name in outside if name in ONLY_IN and not inside(module, ONLY_IN[name])]
    assert wrong == []


def test_every_outside_import_is_a_declared_dependency() -> None:
    """What the package imports stands in pyproject.toml, and what stands there is imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name not in ("dev", "docs", "mutants") for line in lines]
    declared = {re.split(r"[<>=!~ ;\[]", line, maxsplit=1)[0] for line in [*project["dependencies"], *extras]}
    imported = {name.partition(".")[0] for module in MODULES for name in imports_of(module)}
    outside = imported - set(sys.stdlib_module_names) - {"netclaw_opencode"}
    assert {DISTRIBUTIONS.get(name, name) for name in (BROUGHT_BY.get(name, name) for name in outside)} == declared


def test_names_of_modules_say_what_is_in_them() -> None:
    """No module is called utils, helpers, manager, data or info: such a name takes in everything."""
    assert [module for module in MODULES if BAD_NAMES & set(module.split("."))] == []


def test_a_file_opens_with_what_it_owns_and_stays_readable() -> None:
    """Every Python file begins with a docstring and has at most 400 lines, unless a script has made it."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text))
        # The exports of the package are made, between marks.
        lines = re.sub(r"# --- made by scripts/.*?# --- end of what is made", "", text, flags=re.DOTALL).count("\n")
        assert lines <= LONGEST_FILE or text.startswith("# Made by scripts/"), path
        assert docstring or not lines, path


def test_public_names_exist() -> None:
    """Every name in a module's ``__all__`` exists, once."""
    for module in MODULES:
        if module != "__main__":
            loaded = importlib.import_module("netclaw_opencode" if module == "__init__" else f"netclaw_opencode.{module}")
            names: list[str] = getattr(loaded, "__all__", [])
            assert len(names) == len(set(names)), module
            assert [name for name in names if not hasattr(loaded, name)] == [], module


def test_no_two_modules_import_each_other() -> None:
    """No circle, however long: imports inside functions and for type checking count too."""
    graph = {module: {ours(name) for name in imports_of(module)} - {None, module} for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def ours(name: str) -> str | None:
    """The module of the package that an imported name is or stands in; None for anybody else's."""
    if not name.startswith("netclaw_opencode."):
        return None
    parts = name.removeprefix("netclaw_opencode.").split(".")
    found = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((module for module in found if module in MODULES), None)


def test_no_text_names_the_machine_it_was_written_on() -> None:
    """No file of the repository holds a path of somebody's machine."""
    machine = re.compile(r"(?<![\w.~-])/(?:root|work|Users|tmp/lab)\w*/")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if machine.search(line)
    ]
    assert not found
