"""Progress of long work on stderr: a bar on a terminal, else one plain line per 10 %."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "show_progress"]

Progress = Callable[[int, int], None]
"""(done, total): how much of the work is done."""


@contextmanager
def show_progress(title: str) -> Iterator[Progress]:
    """Give a callback that shows how far the work called `title` is. Amounts are bytes."""
    if not sys.stderr.isatty():
        yield _plain_lines(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


def _plain_lines(title: str) -> Progress:
    shown = -1

    def advance(done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // total if total else 10
        if tenth > shown:
            shown = tenth
            print(f"{title}: {min(10 * tenth, 100)} % of {total / 2**20:.1f} MiB", file=sys.stderr, flush=True)

    return advance
