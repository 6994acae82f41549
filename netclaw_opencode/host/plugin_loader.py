"""How a plugin gets into a host: found, imported, checked, and then wholly in or wholly out.

Owns the loading of plugins (entry points, directories with a ``skill.yaml``, objects), the only-these and not-these
switches, and the problems that are reported instead of raised. It runs no action and knows no event loop.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.machinery
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import pluggy

from netclaw_opencode import hookspecs
from netclaw_opencode.actions.registry import ActionDefinition, Registry
from netclaw_opencode.errors import CODES, DriverError
from netclaw_opencode.hookspecs import ENTRY_POINT_GROUP, SkillInfo
from netclaw_opencode.host.installed import may_have_entry_points

if TYPE_CHECKING:
    from netclaw_opencode.manifest import ManifestProblem

ProblemCode = Literal["import_failed", "invalid_manifest", "bad_hook", "bad_registration", "hook_failed", "name_clash", "unknown_plugin"]

TIERS = ("inspect", "run", "reply", "server")

# sys.exit() in a plugin is a defect of the plugin, not the end of the host.
PLUGIN_FAILURES = (Exception, SystemExit)

_PREFIX = "netclaw_"
_ACTION_NAME = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
_log = logging.getLogger("netclaw_opencode.host")


@dataclass(frozen=True, slots=True)
class HostProblem:
    """Something is wrong with a plugin; the host goes on without it (or, after loading, in spite of it)."""

    plugin: str
    code: ProblemCode
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.message} [{self.code}] -> {self.remedy}"


class BrokenPluginError(Exception):
    """A plugin cannot be taken in; carries every reason. Never leaves this module."""

    def __init__(self, *problems: HostProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def one_line(error: BaseException) -> str:
    """Return an exception as one short line of text."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]


class PluginLoader:
    """Takes plugins into a pluggy manager and their actions into a registry; all of a plugin or nothing of it."""

    def __init__(
        self,
        manager: pluggy.PluginManager,
        registry: Registry,
        *,
        only: Collection[str],
        exclude: Collection[str],
        report: Callable[[HostProblem], None],
    ) -> None:
        self._manager = manager
        self._registry = registry
        self._only = tuple(only)
        self._exclude = tuple(exclude)
        self._report = report
        self._found: dict[str, str] = {}
        self.skills: dict[str, SkillInfo] = {}

    def offer_entry_points(self, *, besides: str) -> None:
        """Every entry point of the group, in the order of their names; ``besides`` is a value that is loaded already."""
        if not may_have_entry_points(ENTRY_POINT_GROUP, besides=besides):
            return
        from importlib.metadata import entry_points

        for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda found: (found.name, found.value)):
            if entry_point.value != besides:
                package = entry_point.dist.name if entry_point.dist is not None else "an unknown package"
                self.offer(entry_point.name, f"entry point {entry_point.value} of {package}", entry_point.load)

    def offer_directory(self, directory: Path) -> None:
        """The plugin of a directory that holds a ``skill.yaml``; nothing is imported before the manifest is right."""
        from netclaw_opencode.manifest import check_manifest, load_manifest

        source = directory.resolve() / "skill.yaml"
        name, module = source.parent.name, None
        try:
            manifest = load_manifest(source)
            name, module = manifest.name, manifest.plugin
            wrong = []
        except (DriverError, OSError) as error:
            wrong = [HostProblem(name, "invalid_manifest", one_line(error), f"fix {source}")]
        if not self._is_wanted(name, str(source)):
            return
        mismatches = check_manifest(source) if source.is_file() else []
        if mismatches:
            wrong = [HostProblem(name, "invalid_manifest", f"{_place(problem)}: {problem.what}", problem.fix) for problem in mismatches]
        if not wrong and module is None:
            wrong = [HostProblem(name, "invalid_manifest", "it names no plugin module", f"add `plugin: your_module` to {source}")]
        for problem in wrong:
            self._report(problem)
        if not wrong and module is not None:
            self._take_in(name, lambda: import_from(source.parent, module), frozenset(manifest.actions))

    def offer(self, name: str, source: str, fetch: Callable[[], object]) -> None:
        """A plugin by its name; ``fetch`` imports it and is not called where a switch leaves it out."""
        if self._is_wanted(name, source):
            self._take_in(name, fetch, None)

    def check_switches(self) -> None:
        """Report names in the switches that no plugin has: a mistyped not-these would load what it should not."""
        for switch, names in (("only", self._only), ("exclude", self._exclude)):
            for name in names:
                if name not in self._found:
                    near = difflib.get_close_matches(name, self._found, n=1)
                    remedy = f"did you mean {near[0]!r}?" if near else f"plugins found: {', '.join(self._found) or 'none'}"
                    self._report(HostProblem(name, "unknown_plugin", f"the switch {switch!r} names it, but no plugin is called so", remedy))

    def _is_wanted(self, name: str, source: str) -> bool:
        if name in self._exclude or (self._only and name not in self._only):
            self._found.setdefault(name, source)
            self._manager.trace("left out", name, source)
            return False
        if name in self._found:
            text = f"{source} has the same name as {self._found[name]}"
            self._report(HostProblem(name, "name_clash", text, "remove one of the two; the first stays in use"))
            return False
        self._found[name] = source
        return True

    def _take_in(self, name: str, fetch: Callable[[], object], promised: frozenset[str] | None) -> None:
        try:
            plugin = fetch()
        except PLUGIN_FAILURES as error:
            _log.warning("plugin %s cannot be imported", name, exc_info=True)
            self._report(HostProblem(name, "import_failed", one_line(error), "fix or uninstall the plugin, or exclude it"))
            return
        try:
            self._hook_up(name, plugin)
            skills = self._collect(name, plugin, "netclaw_register_skills")
            actions = self._collect(name, plugin, "netclaw_register_actions")
            self._commit(name, skills, actions, promised)
        except BrokenPluginError as broken:
            if self._manager.get_plugin(name) is not None:
                self._manager.unregister(name=name)
            for problem in broken.problems:
                self._report(problem)
        else:
            self._manager.trace("taken in", name, self._found[name])

    def _hook_up(self, name: str, plugin: object) -> None:
        remedy = "correct the hook; the signatures are in netclaw_opencode.hookspecs"
        try:
            hash(plugin)
            if self._manager.register(plugin, name) is None:
                raise BrokenPluginError(HostProblem(name, "bad_registration", "it is None, not a module or an object", remedy))
            wrong = [HostProblem(name, "bad_hook", text, remedy) for text in _wrong_hooks(self._manager, plugin)]
            if wrong:
                raise BrokenPluginError(*wrong)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise BrokenPluginError(HostProblem(name, "bad_hook", " ".join(str(error).split()), remedy)) from error
        except (TypeError, ValueError) as error:
            raise BrokenPluginError(
                HostProblem(name, "bad_registration", one_line(error), "give each plugin an object of its own")
            ) from error

    def _collect(self, name: str, plugin: object, hook: str) -> list[object]:
        offered: list[object] = []
        finished = False

        def register(item: object) -> None:
            if finished:
                raise RuntimeError("registration is over: register inside the hook, not later")
            offered.append(item)

        others = self._manager.get_plugins() - {plugin}
        try:
            self._manager.subset_hook_caller(hook, others)(register=register)
        except PLUGIN_FAILURES as error:
            _log.warning("plugin %s failed in %s", name, hook, exc_info=True)
            raise BrokenPluginError(
                HostProblem(name, "hook_failed", f"{hook}: {one_line(error)}", "fix the plugin, or exclude it")
            ) from error
        finally:
            finished = True
        return offered

    def _commit(self, name: str, skills: list[object], actions: list[object], promised: frozenset[str] | None) -> None:
        good_skills = [item for item in skills if isinstance(item, SkillInfo)]
        good_actions = [item for item in actions if isinstance(item, ActionDefinition)]
        remedy = "correct what the plugin registers"
        wrong = [
            HostProblem(name, "bad_registration", f"it registers a {type(item).__name__}, not a {kind.__name__}", remedy)
            for kind, items in ((SkillInfo, skills), (ActionDefinition, actions))
            for item in items
            if not isinstance(item, kind)
        ]
        wrong += [HostProblem(name, "bad_registration", text, remedy) for text in _wrong_skills(good_skills, promised, name)]
        own = {skill.name for skill in good_skills}
        wrong += [HostProblem(name, "bad_registration", text, remedy) for text in _wrong_actions(good_actions, promised, own)]
        for skill in good_skills:
            if skill.name in self.skills:
                text = f"skill {skill.name!r} is already registered by another plugin"
                wrong.append(HostProblem(name, "name_clash", text, "leave one of the two out (exclude)"))
        for action in good_actions:
            taken = self._registry.actions.get(action.name)
            if taken is not None:
                text = f"action {action.name!r} is already registered by skill {taken.skill!r}"
                wrong.append(HostProblem(name, "name_clash", text, "rename the action, or leave one of the two plugins out (exclude)"))
        if wrong:
            raise BrokenPluginError(*wrong)
        for skill in good_skills:
            self.skills[skill.name] = skill
        for action in good_actions:
            self._registry.register(action)


def _place(problem: ManifestProblem) -> str:
    return problem.where if problem.line is None else f"{problem.where} (line {problem.line})"


def _wrong_hooks(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    known = [name for name in vars(hookspecs) if name.startswith(_PREFIX)]
    for caller in manager.get_hookcallers(plugin) or ():
        for implementation in caller.get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            if implementation.hookwrapper or implementation.wrapper:
                yield f"{caller.name} is a hook wrapper; plugins are called one by one, so there is nothing to wrap"
            if not caller.has_spec() and not implementation.optionalhook:
                yield f"there is no hook {caller.name!r}{_near(caller.name, known)}"
    for name in dir(plugin):
        value = inspect.getattr_static(plugin, name, None)
        function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        marked = hasattr(value, "netclaw_impl") or hasattr(function, "netclaw_impl")
        # A plugin may import the specifications; those are no attempt to implement one.
        if not name.startswith(_PREFIX) or marked or not inspect.isroutine(function) or function is vars(hookspecs).get(name):
            continue
        yield (
            f"{name} lacks the @hookimpl mark, so it would never be called"
            if name in known
            else f"there is no hook {name!r}{_near(name, known)}"
        )


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _wrong_skills(skills: list[SkillInfo], promised: frozenset[str] | None, name: str) -> Iterator[str]:
    names = [skill.name for skill in skills]
    yield from (f"skill {twice!r} is registered twice" for twice in sorted({item for item in names if names.count(item) > 1}))
    if promised is not None and name not in names:
        yield f"its skill.yaml declares the skill {name!r}, but it registers {', '.join(map(repr, names)) or 'none'}"


def _wrong_actions(actions: list[ActionDefinition], promised: frozenset[str] | None, own: set[str]) -> Iterator[str]:
    names = [action.name for action in actions]
    yield from (f"action {twice!r} is registered twice" for twice in sorted({item for item in names if names.count(item) > 1}))
    if promised is not None and promised != set(names):
        difference = ", ".join(sorted(promised ^ set(names)))
        yield f"its skill.yaml and its registrations differ in the actions {difference}"
    for action in actions:
        if not _ACTION_NAME.fullmatch(action.name):
            yield f"action name {action.name!r} must be words of small letters and digits joined by '_', at most 64 characters"
        if action.skill not in own:
            yield f"action {action.name!r} belongs to skill {action.skill!r}, which this plugin does not register"
        if action.tier not in TIERS:
            yield f"action {action.name!r} has the tier {action.tier!r}; tiers are {', '.join(TIERS)}"
        if not (callable(action.handler) or ":" in action.handler):
            yield f"action {action.name!r} needs a handler: an async callable or 'module:function'"
        if not action.deadline_seconds > 0:
            yield f"action {action.name!r} needs a deadline above 0 seconds"
        yield from (f"action {action.name!r} lists the unknown error code {code!r}" for code in action.errors if code not in CODES)


def import_from(directory: Path, module: str) -> ModuleType:
    """Import ``module`` from ``directory``, or else as installed; ``sys.path`` is not touched.

    Only the top-level name is looked up in the directory; what is below it is found through its package, also later. So
    no other file of the directory can stand in for a module that other code imports. Raises ``ImportError`` if the
    top-level name belongs to another file already.
    """
    importlib.invalidate_caches()
    top = module.partition(".")[0]
    spec = importlib.machinery.PathFinder.find_spec(top, [str(directory)])
    if spec is None or spec.origin is None or spec.loader is None:
        return importlib.import_module(module)
    present = sys.modules.get(top)
    if present is not None:
        origin = getattr(present.__spec__, "origin", None)
        if origin != spec.origin:
            raise ImportError(f"the module name {top!r} is taken already by {origin}; {spec.origin} needs a name of its own")
        return importlib.import_module(module)
    before = set(sys.modules)
    made = sys.modules[top] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(made)
        return importlib.import_module(module)
    except BaseException:
        for name in set(sys.modules) - before:
            if name == top or name.startswith(top + "."):
                del sys.modules[name]
        raise


__all__ = ["PLUGIN_FAILURES", "TIERS", "BrokenPluginError", "HostProblem", "PluginLoader", "ProblemCode", "import_from", "one_line"]
