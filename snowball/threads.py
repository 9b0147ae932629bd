"""Threads for work on many rows at once, each on one core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

__all__ = ["one_core_each"]


@contextmanager
def one_core_each(threads: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """A pool of as many threads as there are cores, in which torch starts no threads of its own.

    Else every thread has a team of helpers that wait by spinning, and the teams take one another's cores.

    >>> with one_core_each(2) as pool:
    ...     list(pool.map(lambda _: torch.get_num_threads(), range(3)))
    [1, 1, 1]
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # also what threads begin with from here on
    try:
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
