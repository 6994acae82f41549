"""The fixtures of the conformance kit, and nothing else."""

pytest_plugins = ["netclaw_opencode.testing"]
