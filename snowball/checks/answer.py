"""What outputs and targets mean: classes, yes and no, several labels, or numbers; and how good an answer is.

R is the number of answers, which is B for one answer a row and B x T (or H x W) for one a position; C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .nested import leaves

__all__ = ["Answer", "Form", "joined_answers", "read_answer", "share_of_kin"]

Form = Literal["classes", "binary", "multilabel", "numbers", "unknown"]


@dataclass(frozen=True)
class Answer:
    """One batch of answers, flattened to R of them."""

    form: Form
    scores: Tensor
    """(R, C) for classes and several labels, (R,) for yes and no, (R, D) for numbers."""
    labels: Tensor
    """(R,) int64 for classes; (R,) or (R, C) 0 and 1; (R, D) for numbers."""
    path: str
    """Where the scores stand among the outputs."""
    one_a_row: bool
    """One answer a row, not one a position."""
    signs: bool = False
    """The targets say yes by 1 and no by -1, as hinge losses ask; `labels` are 1 and 0 all the same."""

    @property
    def num_classes(self) -> int:
        return self.scores.shape[1] if self.form in ("classes", "multilabel") else 2

    def predicted(self) -> Tensor:
        """The decided answers, of the shape of `labels`."""
        if self.form == "classes":
            return self.scores.argmax(1)
        if self.form in ("binary", "multilabel"):
            return (self.scores > (0.0 if self.signs else _threshold(self.scores))).to(self.labels.dtype)
        return self.scores

    def right(self) -> Tensor:
        """(R,) 1 where an answer is right; an answer of several labels counts by its share. Not for numbers."""
        same = (self.predicted() == self.labels).float()
        return same.mean(1) if self.form == "multilabel" else same

    def score(self) -> float:
        """Accuracy, or R squared for numbers: 1 is perfect, higher is better."""
        if self.form == "unknown" or not self.labels.numel():
            return float("nan")
        if self.form == "numbers":
            spread = (self.labels - self.labels.mean(0)).square().mean()
            return float(1 - self.misfit() / spread.clamp(min=1e-12))
        return float(self.right().mean())

    @property
    def shares(self) -> bool:
        """Whether the labels of each row are shares of one whole."""
        return self.form == "numbers" and _is_shares(self.labels)

    def misfit(self) -> Tensor:
        """The mean squared error of numbers; where labels are shares, or a column is of 0..1, scores may be logits."""
        plain = (self.scores - self.labels).square().mean(0)
        if self.shares:
            return torch.minimum(plain.mean(), (self.scores.softmax(1) - self.labels).square().mean())
        inside = ((self.labels >= 0) & (self.labels <= 1)).all(0)
        logits = (self.scores.sigmoid() - self.labels).square().mean(0)
        return torch.where(inside, torch.minimum(plain, logits), plain).mean()

    def chance(self) -> float:
        """The score of the best constant answer."""
        if self.form == "classes":
            return float(self.labels.bincount().max() / len(self.labels))
        if self.form == "binary":
            share = float(self.labels.float().mean())
            return max(share, 1 - share)
        if self.form == "multilabel":
            share_each = self.labels.float().mean(0)
            return float(torch.maximum(share_each, 1 - share_each).mean())
        return 0.0


def _is_shares(labels: Tensor) -> bool:
    """Whether rows (R, D) are not negative and each adds up to 1, and not all to one of them alone."""
    if labels.dim() != 2 or labels.shape[1] < 2 or bool((labels < 0).any()) or bool((labels.max(1).values == 1).all()):
        return False
    return bool(((labels.sum(1) - 1).abs() < 1e-3).all())


def share_of_kin(outputs: Any, targets: Any) -> float:
    """How often the row nearest to another, by the first output (B, D), is of its class; NaN where that means nothing.

    >>> share_of_kin(torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]), torch.tensor([0, 0, 0, 1, 1, 1]))
    1.0
    """
    places = [t for _, t in leaves(outputs) if t.is_floating_point() and t.dim() == 2][:1]
    kinds = [t for _, t in leaves(targets) if t.dim() == 1 and not t.is_floating_point() and t.dtype != torch.bool][:1]
    if not places or not kinds or len(places[0]) != len(kinds[0]) or len(kinds[0].unique()) * 3 > len(kinds[0]):
        return float("nan")
    apart = torch.cdist(places[0].float(), places[0].float())
    apart.fill_diagonal_(float("inf"))
    return float((kinds[0][apart.argmin(1)] == kinds[0]).float().mean())


def joined_answers(answers: Sequence[Answer]) -> Answer:
    """Answers of several batches as one; unknown where they are of several forms."""
    first = answers[0]
    if len({(one.form, one.path, one.scores.shape[1:]) for one in answers}) > 1:
        return Answer("unknown", first.scores, torch.empty(0), first.path, True)
    scores, labels = torch.cat([one.scores for one in answers]), torch.cat([one.labels for one in answers])
    one_a_row = all(one.one_a_row for one in answers)
    return Answer(first.form, scores, labels, first.path, one_a_row, first.signs)


def _threshold(scores: Tensor) -> float:
    """Where yes begins: at a half for probabilities, at 0 for logits."""
    return 0.5 if bool(((scores >= 0) & (scores <= 1)).all()) else 0.0


def read_answer(outputs: Any, targets: Any, path: str | None = None) -> Answer:
    """Tell what is answered from shapes and values; `unknown` where they do not say.

    >>> read_answer(torch.randn(4, 3), torch.tensor([0, 2, 1, 0])).form
    'classes'
    """
    found = [(name, t) for name, t in leaves(outputs) if t.is_floating_point() and t.dim() > 0]
    wanted = [t for _, t in leaves(targets) if t.dim() > 0]
    for name, scores in found:
        if path is not None and name != path:
            continue
        for labels in wanted if len(wanted) == 1 else []:
            answer = _match(scores.detach(), labels.detach(), name)
            if answer is not None:
                return answer
    empty = torch.empty(0)
    return Answer("unknown", found[0][1].detach() if found else empty, empty, found[0][0] if found else "", True)


def _match(scores: Tensor, labels: Tensor, path: str) -> Answer | None:
    whole = not labels.is_floating_point() and labels.dtype != torch.bool
    if whole and scores.dim() >= 2 and scores.shape[-1 if scores.dim() != labels.dim() + 1 else 1] > 0:
        flat = _class_scores(scores, labels)
        if flat is not None:
            kept = (labels.reshape(-1) >= 0) & (labels.reshape(-1) < flat.shape[1])
            beyond = labels[labels >= flat.shape[1]].unique()
            if len(beyond) > 1 or (len(beyond) == 1 and int(beyond) < 100):  # 255 may mark what does not count
                return None  # more classes than scores, as where each score is a step from one class to the next
            return Answer("classes", flat[kept], labels.reshape(-1)[kept].long(), path, len(flat) == len(labels))
    if scores.numel() != labels.numel():
        return None
    values = labels.float()
    one_a_row = values.numel() == len(values)
    signs = bool((values.abs() == 1).all()) and bool((values != values.flatten()[0]).any())
    if signs and one_a_row:
        return Answer("binary", scores.reshape(-1), (values.reshape(-1) + 1) / 2, path, True, True)
    if bool(((values == 0) | (values == 1)).all()):
        if one_a_row:
            return Answer("binary", scores.reshape(-1), values.reshape(-1), path, True)
        width = values.shape[1] if values.dim() == 2 else 1
        if width == 1 or values.dim() > 2:
            return Answer("binary", scores.reshape(-1), values.reshape(-1), path, False)
        return Answer("multilabel", scores.reshape(len(values), width), values, path, True)
    flat_values = values.reshape(len(values), -1)
    return Answer("numbers", scores.float().reshape(flat_values.shape), flat_values, path, one_a_row)


def _class_scores(scores: Tensor, labels: Tensor) -> Tensor | None:
    """(R, C) beside labels of R; None where the shapes do not belong together or there is one score alone."""
    count = labels.numel()
    flat_labels = labels.dim() == 1 or (labels.dim() == 2 and labels.shape[1] == 1)
    if scores.dim() == 2 and len(scores) == count and scores.shape[1] > 1:
        return scores
    if scores.dim() > 2 and scores.shape[:-1] == labels.shape:  # (B, T, C)
        return scores.reshape(count, -1)
    if scores.dim() > 2 and (scores.shape[0], *scores.shape[2:]) == tuple(labels.shape):  # (B, C, T), (B, C, H, W)
        return scores.movedim(1, -1).reshape(count, -1)
    if scores.dim() > 2 and flat_labels and scores.shape[0] * scores.shape[1] == count:
        return scores.reshape(count, -1)
    return None
