"""The hook specifications: names, documentation, and nothing heavy behind them."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pluggy
import pytest

from netclaw_opencode import hookspecs

HOOKS = [name for name in hookspecs.__all__ if name.startswith("netclaw_")]
FIRST_RESULT = {"netclaw_before_action", "netclaw_run_action", "netclaw_decide_permission", "netclaw_answer_question"}


def test_every_hook_of_the_module_is_exported_and_specified() -> None:
    """``__all__`` names all hooks, and pluggy takes each of them as a specification."""
    defined = {name for name, value in vars(hookspecs).items() if name.startswith("netclaw_") and inspect.isfunction(value)}
    assert defined == set(HOOKS)
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    assert {name for name in vars(manager.hook) if not name.startswith("_")} == defined


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_when_where_and_what_an_exception_does(name: str) -> None:
    """Each docstring tells the three things that a plugin author has to know."""
    text = inspect.getdoc(getattr(hookspecs, name)) or ""
    assert all(word in text for word in ("When:", "Thread:", "Exception"))


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_fully_annotated(name: str) -> None:
    """No argument and no result of a hook is left without a type."""
    signature = inspect.signature(getattr(hookspecs, name))
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())


@pytest.mark.parametrize("name", HOOKS)
def test_the_first_answer_counts_for_exactly_the_asking_hooks(name: str) -> None:
    """Hooks that ask for one answer take the first; hooks that tell reach every plugin."""
    manager = pluggy.PluginManager(hookspecs.NAMESPACE)
    manager.add_hookspecs(hookspecs)
    assert getattr(manager.hook, name).spec.opts["firstresult"] is (name in FIRST_RESULT)


def test_a_plugin_needs_only_pluggy_to_mark_its_hooks() -> None:
    """Our ``hookimpl`` is the marker of the public namespace, so a plugin may make its own."""

    def hook() -> None: ...

    assert vars(pluggy.HookimplMarker("netclaw")(hook)).keys() == vars(hookspecs.hookimpl(lambda: None)).keys()


def test_the_contract_imports_nothing_heavy() -> None:
    """A plugin that imports the contract pays neither for HTTP nor for schema checking nor for an event loop."""
    code = "import sys, netclaw_opencode.hookspecs; print([m for m in ('httpx', 'jsonschema', 'anyio', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
