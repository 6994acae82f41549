"""The command line: it turns flags into one call of an action, and the envelope into JSON or readable text.

Owns nothing of the driver. Only ``main`` is public; everything is imported when it is needed, so that ``--help`` stays
quick.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script; ends the process with one of the exit codes in ``errors``."""
    import gc
    import sys
    from importlib.util import find_spec

    # Imports leave next to no garbage, and looking for it takes longer than a request; whatever runs on enables it again.
    gc.disable()
    # httpx would load its own command line with rich and pygments; where that cannot be imported, it goes on without.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    # httpcore looks for this one some five times for each request; a search that found nothing is not remembered.
    if find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]

    from netclaw_opencode.adapters.cli.app import run

    code = run(sys.argv[1:])
    # Everything is closed, and the memory goes back with the process: taking each module apart first takes longer than a request.
    gc.freeze()
    raise SystemExit(code)


__all__ = ["main"]
