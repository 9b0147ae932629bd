"""Caffe's losses, by its own normalisation, and its accuracy. N rows, C classes, P places of a row.

A classifier that is imported as a run is trained with the task's own cross-entropy, which SoftmaxWithLoss is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Apply

__all__ = ["accuracy", "contrastive", "euclidean", "hinge", "multinomial", "sigmoid_cross_entropy", "softmax_with_loss"]


def _normaliser(spec: Spec, default: str) -> Callable[[Tensor, int], Tensor | int]:
    """(which numbers count, rows) -> what the sum of losses is divided by."""
    said = spec.other("loss_param")
    how = said.word("normalization") if "normalization" in said else default
    if "normalization" not in said and "normalize" in said:
        how = "VALID" if said.flag("normalize") else "BATCH_SIZE"

    def divisor(counted: Tensor, rows: int) -> Tensor | int:
        if how == "VALID":
            return counted.sum().clamp(min=1)
        return {"FULL": counted.numel(), "BATCH_SIZE": rows, "NONE": 1}[how]

    return divisor


def _ignored(spec: Spec) -> int | None:
    said = spec.other("loss_param")
    return said.number("ignore_label") if "ignore_label" in said else None


def _counted(labels: Tensor, ignored: int | None) -> Tensor:
    return torch.ones_like(labels, dtype=torch.bool) if ignored is None else labels != ignored


@register("SoftmaxWithLoss", message="softmax_param")
def softmax_with_loss(spec: Spec) -> nn.Module:
    """Logits (N, C, P) and labels (N, P) to the mean cross-entropy; a second top is the softmax."""
    spec.bottoms(2)
    axis, divisor, ignored = spec.axis(spec.number("axis")), _normaliser(spec, "VALID"), _ignored(spec)
    with_softmax = len(spec.layer.tops) > 1

    def loss(logits: Tensor, labels: Tensor) -> Any:
        flat = logits.movedim(axis, -1).flatten(0, -2)  # (N * P, C)
        wanted = labels.reshape(-1).long()
        counted = _counted(wanted, ignored)
        each = F.cross_entropy(flat, wanted.where(counted, 0), reduction="none") * counted
        mean = each.sum() / divisor(counted, logits.shape[0])
        return (mean, logits.softmax(axis)) if with_softmax else mean

    return Apply(loss)


@register("SigmoidCrossEntropyLoss")
def sigmoid_cross_entropy(spec: Spec) -> nn.Module:
    """Logits and targets in 0..1 of one shape, summed, by default over the number of rows."""
    spec.bottoms(2)
    divisor, ignored = _normaliser(spec, "BATCH_SIZE"), _ignored(spec)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        targets = targets.reshape(logits.shape).to(logits.dtype)
        counted = _counted(targets, ignored)
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * counted
        return each.sum() / divisor(counted, logits.shape[0])

    return Apply(loss)


@register("EuclideanLoss")
def euclidean(spec: Spec) -> nn.Module:
    """Half the squared distance of a row, in the mean over rows."""
    spec.bottoms(2)
    return Apply(lambda a, b: (a - b.reshape(a.shape)).square().sum() / (2 * a.shape[0]))


@register("HingeLoss", message="hinge_loss_param")
def hinge(spec: Spec) -> nn.Module:
    """One against all: max(0, 1 - s), s the score with the sign that the label says; or its square (L2)."""
    spec.bottoms(2)
    squared = spec.word("norm") == "L2"

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        flat = scores.flatten(1)
        sign = 1 - 2 * F.one_hot(labels.reshape(-1).long(), flat.shape[1])
        margins = (1 + sign * flat).clamp(min=0)
        return (margins.square() if squared else margins).sum() / scores.shape[0]

    return Apply(loss)


@register("MultinomialLogisticLoss")
def multinomial(spec: Spec) -> nn.Module:
    """Probabilities (N, C) and labels (N) to the mean of -log p."""
    spec.bottoms(2)

    def loss(shares: Tensor, labels: Tensor) -> Tensor:
        chosen = shares.flatten(1).gather(1, labels.reshape(-1, 1).long())
        return -chosen.clamp(min=1e-20).log().sum() / shares.shape[0]

    return Apply(loss)


@register("ContrastiveLoss", message="contrastive_loss_param")
def contrastive(spec: Spec) -> nn.Module:
    """Two embeddings (N, C) and whether they are alike (N) (Hadsell et al., 2006)."""
    spec.bottoms(3)
    margin, legacy = spec.real("margin"), spec.flag("legacy_version")

    def loss(a: Tensor, b: Tensor, alike: Tensor) -> Tensor:
        squares = (a - b).flatten(1).square().sum(1)
        apart = (margin - squares).clamp(min=0) if legacy else (margin - squares.sqrt()).clamp(min=0).square()
        same = alike.reshape(-1).to(a.dtype)
        return (same * squares + (1 - same) * apart).sum() / (2 * a.shape[0])

    return Apply(loss)


@register("Accuracy", message="accuracy_param")
def accuracy(spec: Spec) -> nn.Module:
    """The share of rows whose label is among the `top_k` highest scores."""
    spec.bottoms(2)
    top, axis = spec.number("top_k", 1), spec.axis(spec.number("axis"))
    ignored = spec.number("ignore_label") if "ignore_label" in spec else None

    def share(scores: Tensor, labels: Tensor) -> Tensor:
        flat = scores.movedim(axis, -1).flatten(0, -2)
        wanted = labels.reshape(-1).long()
        counted = _counted(wanted, ignored)
        found = (flat.topk(min(top, flat.shape[1]), 1).indices == wanted[:, None]).any(1) & counted
        return found.sum() / counted.sum().clamp(min=1)

    return Apply(share)
