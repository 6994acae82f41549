"""``python -m netclaw_opencode``: the same as the command ``netclaw-opencode``."""

from __future__ import annotations

from netclaw_opencode.adapters.cli import main

if __name__ == "__main__":
    main()
