"""What a person sees while it works: a live bar on a terminal, plain lines elsewhere. Nothing else prints progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .finding import Finding

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Display"]

_MARK = {"error": "x", "warning": "!", "note": "-"}
_REFRESH = 0.25  # seconds between two redraws of the bar: one costs about 3 ms


class Display:
    """Prints to stdout, or to stderr when stdout is for a program (`--json`)."""

    def __init__(self, *, to_stderr: bool = False, quiet: bool = False) -> None:
        self._stream = sys.stderr if to_stderr else sys.stdout
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: Any = None
        self.done = 0
        self._next = 0.0
        self._what = ""

    def line(self, text: str = "") -> None:
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def findings(self, stage: str, findings: Iterable[Finding], waived: Mapping[str, str] | None = None) -> None:
        """One line a finding, worst first; nothing found is said too."""
        findings = list(findings)
        self.line(f"{stage}: {len(findings)} findings" if findings else f"{stage}: nothing found")
        for finding in findings:
            self.line(f"  {_MARK[finding.severity]} {finding}")
            if reason := (waived or {}).get(finding.check):
                self.line(f"    waived: {reason}")

    def start(self, what: str, total: int) -> None:
        """Begin a bar of `total` units; only a terminal shows it."""
        self.done, self._next, self._what = 0, 0.0, what
        if self._quiet or not self._stream.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        console = Console(file=self._stream)
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._bar.start()
        self._task = self._bar.add_task(what, total=total)

    def advance(self, units: int = 1) -> None:
        """Cheap enough for every step: a clock is read, and four times a second the bar is drawn."""
        self.done += units
        if self._bar is not None and (now := time.perf_counter()) >= self._next:
            self._next = now + _REFRESH
            self._bar.update(self._task, completed=self.done, description=self._what)
            self._bar.refresh()

    def describe(self, what: str) -> None:
        """What the bar says from its next drawing on."""
        self._what = what

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
