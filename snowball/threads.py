"""Threads for work on many rows at once, each on one core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["in_order", "one_core_each"]


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


def in_order(pool: ThreadPoolExecutor, make: Callable[[Any], Any], parts: Iterable[Any], ahead: int) -> Iterator[Any]:
    """What `make` gives of each part, in order; at most `ahead` parts are begun before the first is taken.

    >>> with one_core_each(2) as pool:
    ...     list(in_order(pool, str, range(3), ahead=2))
    ['0', '1', '2']
    """
    begun: deque[Future[Any]] = deque()
    for part in parts:
        begun.append(pool.submit(make, part))
        if len(begun) == ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
