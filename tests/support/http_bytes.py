"""Moved to ``netclaw_opencode.testing.http_bytes``."""

from __future__ import annotations

from netclaw_opencode.testing.http_bytes import closing, header, read_all, read_exactly, read_head, unchunked, with_length

__all__ = ["closing", "header", "read_all", "read_exactly", "read_head", "unchunked", "with_length"]
