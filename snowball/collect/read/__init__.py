"""Read whatever the user has into a Table: samples, known sets, folders, tables, idx files, archives, the hub."""

from __future__ import annotations

from .source import list_sources, read_table

__all__ = ["list_sources", "read_table"]
