"""Finding: what is wrong, the evidence, and what to do. And the errors that end a command.

Audit, pre-flight, training, evaluation and export all speak in findings, so that a person, a report and a
program read the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "BadInput",
    "Finding",
    "GateFailed",
    "Severity",
    "SnowballError",
    "brief",
    "listed",
    "nearest",
    "shown_shape",
    "verdict",
    "worst_first",
]

Severity = Literal["error", "warning", "note"]
_RANK: dict[str, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True)
class Finding:
    """One thing a check found.

    `check` is a stable name such as `split-overlap`; `evidence` holds the numbers or rows that show it;
    `fix` says what to do about it.

    >>> print(Finding("split-overlap", "warning", "2 pictures stand in train and test", fix="remove one of each"))
    warning split-overlap: 2 pictures stand in train and test. Fix: remove one of each
    """

    check: str
    severity: Severity
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fix: str = ""

    def __str__(self) -> str:
        fix = f". Fix: {self.fix}" if self.fix else ""
        return f"{self.severity} {self.check}: {self.message}{fix}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort by severity; findings of one severity keep the order in which they were made."""
    return sorted(findings, key=lambda finding: _RANK[finding.severity])


def verdict(findings: Iterable[Finding]) -> Literal["fail", "pass"]:
    """`fail` if any finding is an error, else `pass`."""
    return "fail" if any(finding.severity == "error" for finding in findings) else "pass"


class SnowballError(Exception):
    """An error for a person: one line, no traceback. `exit_code` is what the command line returns."""

    exit_code = 2


class BadInput(SnowballError):
    """The data, the recipe, a file or the command is wrong: what was found, where, what would be right."""


class GateFailed(SnowballError):
    """A gate did its work: an error finding stopped the run (exit code 1)."""

    exit_code = 1

    def __init__(self, message: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = list(findings)


def brief(error: BaseException) -> str:
    """What another library says went wrong, in one line.

    >>> brief(ValueError("no such thing\\nTraceback ..."))
    'no such thing'
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def shown_shape(shape: Iterable[int]) -> str:
    """The sides of a tensor.

    >>> shown_shape((1, 3)), shown_shape(())
    ('1 x 3', 'one number')
    """
    return " x ".join(map(str, shape)) or "one number"


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a mistyped name: ` (nearest: epochs)`, or nothing when no known name is close.

    >>> nearest("epcohs", ["epochs", "seed"])
    ' (nearest: epochs)'
    """
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (nearest: {close[0]})" if close else ""
