"""Whether the handlers that a manifest names can be called, by importing them.

Owns the one place where checking a package runs code of it; nobody calls it unless told to.
"""

from __future__ import annotations

import importlib
import inspect


def import_problem(module: str) -> str | None:
    """Return why ``module`` cannot be imported, or None."""
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's code runs here: what it raises is the finding
        return f"the module {module!r} cannot be imported: {type(error).__name__}: {str(error)[:200]}"
    return None


def handler_problem(handler: str) -> tuple[str, str] | None:
    """Return why ``module:function`` is no handler, with the code of the problem, or None."""
    module, _, function = handler.partition(":")
    reason = import_problem(module)
    if reason is not None:
        return "import_failed", reason
    found = getattr(importlib.import_module(module), function, None)
    if found is None:
        return "handler_missing", f"the module {module!r} has no {function!r}"
    if not inspect.iscoroutinefunction(found):
        return "handler_not_async", f"{handler!r} is not an async function"
    try:
        inspect.signature(found).bind({}, None)
    except TypeError:
        return "handler_not_async", f"{handler!r} does not take (arguments, context)"
    return None


__all__ = ["handler_problem", "import_problem"]
