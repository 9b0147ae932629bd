"""Networks whose answers are known: each row is given a prepared output, all right, all wrong or between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .answer import Answer
from .lab import Lab
from .nested import leaves, mapped, rows_of
from .sample import Sample, row_keys

__all__ = ["Places", "StandIn", "blended", "less_sure", "made_up"]


def _as_they_are(inputs: Any) -> Any:
    return inputs


class Places(NamedTuple):
    """Where rows of one content stand, by the content's key."""

    rows: dict[int, list[int]]
    positions: bool = False
    """One answer a position, (B, T, C): as many as the rows of a batch are long."""
    opened: Callable[[Any], Any] = _as_they_are
    """From inputs as the metric has them to those that the keys are of."""

    @classmethod
    def of(cls, lab: Lab, sample: Sample, positions: bool = False) -> Places:
        found: dict[int, list[int]] = {}
        for row, key in enumerate(row_keys(sample.inputs)):
            found.setdefault(key, []).append(row)
        return cls(found, positions, lab.program.opened)

    def answers_differ(self, answers: Tensor) -> float:
        """The share of rows of one content with other answers, which a stand-in only tells apart by their order."""
        each = answers.reshape(answers.shape[0], -1)
        differ = sum(not torch.equal(each[rows[0]], each[row]) for rows in self.rows.values() for row in rows)
        return differ / len(each)

    def alike(self, right: Tensor) -> Tensor:
        """(N,) bool: rows of one content are right or wrong together."""
        same = right.clone()
        for rows in self.rows.values():
            same[rows] = right[rows[0]]
        return same


class StandIn(nn.Module):
    """Gives prepared outputs for rows known by their content, those of one content in their order again and again."""

    def __init__(self, table: Places, outputs: Any) -> None:
        super().__init__()
        self.table, self.prepared = table, outputs
        self.weight = nn.Parameter(torch.zeros(1))
        self.strange = self.asked = 0
        self.met: Counter[int] = Counter()

    def _place(self, key: int) -> int:
        places = self.table.rows.get(key)
        if places is None:
            self.strange += 1
            return 0
        self.met[key] += 1
        return places[(self.met[key] - 1) % len(places)]

    def forward(self, *given: Any, **named: Any) -> Any:
        inputs = self.table.opened(named or (given[0] if len(given) == 1 else given))
        lengths = [t.shape[1] for _, t in leaves(inputs) if t.dim() > 1]
        index = torch.tensor([self._place(key) for key in row_keys(inputs)])
        self.asked += len(index)
        rows = rows_of(self.prepared, index)
        return mapped(rows, lambda t: t[:, : lengths[0]]) if self.table.positions and lengths else rows


def made_up(answer: Answer, outputs: Any, shift: int) -> Any:
    """Outputs that answer each row right, or by another answer that is wrong."""
    scores = dict(leaves(outputs))[answer.path]
    if answer.form == "classes":
        wanted = (answer.labels + shift) % scores.shape[1]
        made = 10.0 * F.one_hot(wanted, scores.shape[1]).to(scores)
        if bool((scores.exp().sum(1) - 1).abs().max() < 1e-3):
            made = made.log_softmax(1)
        elif bool((scores >= 0).all()) and bool((scores.sum(1) - 1).abs().max() < 1e-3):
            made = made.softmax(1)
    elif answer.form in ("binary", "multilabel"):
        yes = (answer.labels - shift).abs()
        made = yes.reshape(scores.shape).to(scores)
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            made = 20.0 * made - 10.0
    else:
        spread = answer.labels.std(0).clamp(min=1e-6)
        made = (answer.labels + shift * 3 * spread).reshape(scores.shape).to(scores)
    return mapped(outputs, lambda t: made)


def blended(one: Any, two: Any, right: Tensor) -> Any:
    other = iter([t for _, t in leaves(two)])
    return mapped(one, lambda t: torch.where(right.reshape(-1, *[1] * (t.dim() - 1)).to(t.device), t, next(other)))


def less_sure(made: Tensor, form: str, sure: float) -> Tensor:
    """The same decisions with scores that lie near one another."""
    if form == "binary":
        inside = bool(((made >= 0) & (made <= 1)).all())
        return 0.5 + (made - 0.5) * sure if inside else made * sure * 0.1
    if bool((made >= 0).all()) and bool((made.sum(1) - 1).abs().max() < 1e-3):
        return made * sure + (1 - sure) / made.shape[1]
    if bool((made.exp().sum(1) - 1).abs().max() < 1e-3):
        return (made.exp() * sure + (1 - sure) / made.shape[1]).log()
    return made * sure * 0.3
