"""The wire: HTTP, server-sent events, and OpenCode's JSON as types. The only importer of httpx and httpx-sse."""
