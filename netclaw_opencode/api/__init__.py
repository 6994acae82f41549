"""The Python API: ``OpenCode`` and ``AsyncOpenCode``, with a typed method for each action.

``client``, ``async_client``, ``results`` and ``exceptions`` are made by ``scripts/generate_api.py`` from ``skill.yaml``, the
schemas and the table of error codes. Everything public is exported by ``netclaw_opencode`` itself.
"""
