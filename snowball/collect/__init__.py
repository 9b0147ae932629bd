"""Step 1, collect: read what the user has into a Table, split it, encode it, and say what is wrong with it."""

from __future__ import annotations

from .source import list_sources, read_table

__all__ = ["list_sources", "read_table"]
