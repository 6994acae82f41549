"""The reference host takes plugins in: wholly in or wholly out, every fault reported and none raised."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from netclaw_opencode.hookspecs import hookimpl
from netclaw_opencode.host import OWN_PLUGIN, Host
from netclaw_opencode.host.plugin_loader import HostProblem
from netclaw_opencode.manifest import load_manifest
from tests.adapters.host_plugins import Plugin, action, codes, loading

# --- what a good plugin gets


def test_skills_and_actions_of_a_plugin_are_registered() -> None:
    """What a plugin registers is found under ``skills`` and ``registry``."""
    host = loading(a=Plugin("skill-a", action("one", "skill-a"), action("two", "skill-a")))
    assert host.problems == ()
    assert host.plugins == ("a",)
    assert list(host.skills) == ["skill-a"]
    assert list(host.registry.actions) == ["one", "two"]


def test_a_plugin_may_have_hooks_only() -> None:
    """A plugin without skill and action (an observer, a guard) is a plugin."""

    class Guard:
        @hookimpl
        def netclaw_before_action(self) -> str | None:
            return None

    host = loading(guard=Guard())
    assert (host.plugins, host.problems) == (("guard",), ())


# --- clashes


def test_the_first_skill_of_a_name_stays_and_the_second_plugin_is_left_out() -> None:
    """A skill name that is taken costs the later plugin everything that it registered."""
    host = loading(a=Plugin("same", action("one", "same")), b=Plugin("same", action("two", "same")))
    assert codes(host) == [("b", "name_clash")]
    assert list(host.registry.actions) == ["one"]
    assert host.plugins == ("a",)


def test_an_action_clash_takes_back_the_whole_plugin() -> None:
    """One action name that is taken leaves neither the skill nor the other actions nor the hooks of that plugin."""
    host = loading(
        a=Plugin("a", action("one", "a")), b=Plugin("b", action("fine", "b"), action("one", "b")), c=Plugin("c", action("three", "c"))
    )
    assert codes(host) == [("b", "name_clash")]
    assert "'one'" in host.problems[0].message and "'a'" in host.problems[0].message
    assert list(host.registry.actions) == ["one", "three"]
    assert list(host.skills) == ["a", "c"]
    assert host.plugins == ("a", "c")


def test_one_object_under_two_names_is_a_problem() -> None:
    """The same object given twice is taken once."""
    plugin = Plugin("a", action("one", "a"))
    host = loading(first=plugin, second=plugin)
    assert (host.plugins, codes(host)) == (("first",), [("second", "bad_registration")])


# --- faults of a plugin


def test_an_exception_while_registering_takes_back_what_was_registered_before() -> None:
    """A plugin that fails half way leaves nothing behind, and the next plugin is not disturbed."""

    class Half(Plugin):
        @hookimpl
        def netclaw_register_actions(self, register) -> None:  # type: ignore[no-untyped-def]
            register(action("half", self.skill))
            raise ValueError("no\nfile")

    host = loading(half=Half("half"), good=Plugin("good", action("one", "good")))
    assert host.problems == (
        HostProblem("half", "hook_failed", "netclaw_register_actions: ValueError: no file", "fix the plugin, or exclude it"),
    )
    assert (list(host.registry.actions), list(host.skills), host.plugins) == (["one"], ["good"], ("good",))


def test_a_plugin_that_exits_is_only_broken() -> None:
    """``sys.exit`` in a plugin does not end the host."""

    class Leaves:
        @hookimpl
        def netclaw_register_skills(self) -> None:
            sys.exit(3)

    assert codes(loading(leaves=Leaves())) == [("leaves", "hook_failed")]


class Misspelt:
    @hookimpl
    def netclaw_befor_action(self) -> None: ...


class UnmarkedMisspelt:
    def netclaw_desist(self) -> None: ...

    def netclaw_on_evnt(self) -> None: ...


class Unmarked:
    def netclaw_before_action(self) -> str:
        return "never"


class WrongArgument:
    @hookimpl
    def netclaw_before_action(self, cal) -> None: ...  # type: ignore[no-untyped-def]


class Wrapper:
    @hookimpl(wrapper=True)
    def netclaw_before_action(self):  # type: ignore[no-untyped-def]
        return (yield)


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (Misspelt(), ["there is no hook 'netclaw_befor_action'; did you mean 'netclaw_before_action'?"]),
        (UnmarkedMisspelt(), ["there is no hook 'netclaw_desist'", "there is no hook 'netclaw_on_evnt'; did you mean 'netclaw_on_event'?"]),
        (Unmarked(), ["netclaw_before_action lacks the @hookimpl mark, so it would never be called"]),
        (WrongArgument(), ["{'cal'}"]),
        (Wrapper(), ["hook wrapper"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_hook_that_would_not_be_called_is_reported(plugin: object, words: list[str]) -> None:
    """A misspelt, unmarked, wrongly declared or wrapping hook leaves the plugin out and is named with its remedy."""
    host = loading(typo=plugin)
    assert codes(host) == [("typo", "bad_hook")] * len(words)
    assert all(word in problem.message for word, problem in zip(words, host.problems, strict=True))
    assert host.plugins == ()


def test_imported_specifications_and_modules_are_no_misspelt_hooks() -> None:
    """A module plugin may import the package, the specifications and things that begin like a hook."""
    from netclaw_opencode import hookspecs

    plugin = SimpleNamespace(netclaw_opencode=sys, netclaw_limit=3, netclaw_before_action=hookspecs.netclaw_before_action)
    module = type(sys)("module_plugin")
    vars(module).update(vars(plugin))
    assert loading(imports=module).problems == ()


def test_an_optional_unknown_hook_is_no_problem() -> None:
    """A plugin written for a later release may mark a hook that this host does not know as optional."""

    class Later:
        @hookimpl(optionalhook=True)
        def netclaw_future(self) -> None: ...

    assert loading(later=Later()).problems == ()


@pytest.mark.parametrize(
    ("registered", "words"),
    [
        ("no definition", "not a ActionDefinition"),
        (action("Bad-Name", "s"), "action name 'Bad-Name'"),
        (action("one", "another"), "belongs to skill 'another'"),
        (action("one", "s", tier="root"), "tier 'root'"),
        (action("one", "s", handler="nowhere"), "needs a handler"),
        (action("one", "s", deadline_seconds=0.0), "deadline"),
        (action("one", "s", errors=("made_up",)), "unknown error code 'made_up'"),
    ],
    ids=["type", "name", "skill", "tier", "handler", "deadline", "code"],
)
def test_a_registration_that_cannot_be_right_is_refused(registered: object, words: str) -> None:
    """What is registered is looked at, and the problem names what is wrong."""
    host = loading(wrong=Plugin("s", registered))
    assert codes(host) == [("wrong", "bad_registration")]
    assert words in host.problems[0].message
    assert (list(host.registry.actions), host.skills) == ([], {})


def test_all_faults_of_a_registration_are_reported_at_once() -> None:
    """An author gets the whole list, not one fault a try."""
    host = loading(wrong=Plugin("s", action("one", "s", tier="root"), action("one", "x")))
    assert len(host.problems) == 3


def test_registering_later_is_an_error_of_the_plugin() -> None:
    """``register`` is closed after its hook, so nothing slips in unchecked."""
    kept = []

    class Late:
        @hookimpl
        def netclaw_register_actions(self, register) -> None:  # type: ignore[no-untyped-def]
            kept.append(register)

    host = loading(late=Late())
    with pytest.raises(RuntimeError, match="registration is over"):
        kept[0](action("one", "s"))
    assert list(host.registry.actions) == []


@pytest.mark.parametrize("plugin", [None, {}])
def test_something_that_is_no_plugin_is_reported(plugin: object) -> None:
    """None and an unhashable object are reported, not raised."""
    assert codes(loading(odd=plugin)) == [("odd", "bad_registration")]


# --- our own skill


def test_our_skill_comes_in_through_the_same_hooks() -> None:
    """The plugin ``opencode-driver`` registers what ``skill.yaml`` declares, and is left out by its name like any other."""
    manifest = load_manifest()
    host = Host(entry_points=False)
    assert host.problems == ()
    assert host.plugins == (OWN_PLUGIN,) == (manifest.name,)
    assert host.skills[OWN_PLUGIN].version == manifest.version
    assert list(host.registry.actions) == list(manifest.actions)
    for name, entry in manifest.actions.items():
        registered = host.registry.get(name)
        assert (registered.tier, registered.handler, registered.deadline_seconds) == (entry.tier, entry.handler, entry.deadline_seconds)
        assert registered.errors == manifest.errors_of(name)
    assert list(Host(entry_points=False, exclude=(OWN_PLUGIN,)).registry.actions) == []


def test_a_plugin_cannot_displace_our_actions() -> None:
    """Ours is loaded first, so a plugin that takes the name of one of our actions is the one that is left out."""
    host = Host(entry_points=False, plugins={"thief": Plugin("thief", action("run_task", "thief"))})
    assert codes(host) == [("thief", "name_clash")]
    assert host.registry.get("run_task").skill == OWN_PLUGIN


# --- lightness


def test_making_a_host_imports_nothing_heavy() -> None:
    """Listing skills and actions pays neither for HTTP nor for schema checking nor for an event loop."""
    code = (
        "import sys; from netclaw_opencode.host import Host; host = Host(entry_points=False);"
        "print([m for m in ('httpx', 'jsonschema', 'anyio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == "[]"
