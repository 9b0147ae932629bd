"""Probabilities into a loss that takes logits, or the reverse, by what the loss does to shifted outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..finding import Finding
from .lab import Lab
from .loss import NEAR, ends_in_sigmoid, given_batch, loss_of, replaced
from .nested import leaves

__all__ = ["loss_input"]


def loss_input(lab: Lab) -> Iterator[Finding]:
    """Probabilities into a loss that takes logits, or the reverse, by what the loss does to shifted outputs."""
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form == "classes":
        yield from _class_inputs(lab, outputs, targets, answer.path)
    elif answer.form in ("binary", "multilabel") and not answer.signs:
        yield from _binary_inputs(lab, outputs, targets, answer.path, answer.labels)


def _class_inputs(lab: Lab, outputs: Any, targets: Any, path: str) -> Iterator[Finding]:
    scores = dict(leaves(outputs))[path]
    dims = [d for d in (1, scores.dim() - 1) if scores.shape[d] > 1]

    def loss(change: Any) -> float:
        return float(loss_of(lab, replaced(outputs, path, change), targets))

    base = loss(scores)
    invariant = abs(loss(scores + 3.0) - base) < NEAR * max(1.0, abs(base)) and abs(loss(scores * 3.0) - base) > 1e-6
    for dim in dict.fromkeys(dims):
        sums = scores.sum(dim)
        if bool((scores >= 0).all()) and bool((sums - 1).abs().max() < 1e-3) and invariant:
            message = "the outputs are probabilities already, and the loss takes their softmax once more"
            yield Finding(
                "loss-input", "error", message, {}, "give the loss logits: leave the softmax out of the model"
            )
            return
        if invariant and bool((scores >= 0).all()) and bool((scores <= 1).all()) and ends_in_sigmoid(lab, path):
            message = "the outputs lie in 0..1, and the loss takes their softmax: no class can become much more likely"
            yield Finding(
                "loss-input", "error", message, {}, "give the loss logits: leave the sigmoid out of the model"
            )
            return
    if scores.dim() >= 2 and invariant and bool((scores >= 0).all()) and bool(((scores.sum(0) - 1).abs() < 1e-3).all()):
        message = "the outputs are probabilities over the rows of the batch, and the loss takes a softmax over classes"
        yield Finding("loss-input", "error", message, {}, "leave the softmax out of the model")
        return
    if not invariant:
        shift = base - loss(scores + 1.0)
        linear = abs(shift - 1) < 1e-3 and abs((base - loss(scores + 2.0)) - 2) < 1e-2
        total = scores.float().logsumexp(dims[-1] if scores.dim() > 2 else 1)
        if linear and float(total.abs().max()) > 1e-2 and float(scores.float().logsumexp(1).abs().max()) > 1e-2:
            message = (
                "the loss takes log-probabilities (it falls by 1 when all scores rise by 1), and the outputs are none"
            )
            yield Finding("loss-input", "error", message, {}, "log_softmax before nll_loss, or cross_entropy on logits")


def _binary_inputs(lab: Lab, outputs: Any, targets: Any, path: str, labels: Tensor) -> Iterator[Finding]:
    scores = dict(leaves(outputs))[path]
    inside = bool(((scores >= 0) & (scores <= 1)).all())
    made_up = torch.linspace(-2, 2, scores.numel()).reshape(scores.shape).to(scores)

    def loss(value: Tensor) -> Tensor | None:
        try:
            return loss_of(lab, replaced(outputs, path, value), targets)
        except (RuntimeError, ValueError):
            return None

    logit = loss(made_up)
    if logit is None or not bool(logit.isfinite()):
        return
    # The slope at 0 for yes and no, against that of the logistic loss: -1/2 where y is 1, +1/2 where it is 0.
    free = torch.zeros_like(scores).requires_grad_()
    value = loss(free)
    if value is None or not value.requires_grad:
        return
    (slope,) = torch.autograd.grad(value, free, allow_unused=True)
    if slope is None or not bool(slope.isfinite().all()):
        return
    slopes = slope.reshape(-1)
    wanted = (0.5 - labels.reshape(-1)).to(slopes)
    if slopes.numel() != wanted.numel():
        return
    positive, negative = slopes[wanted < 0], slopes[wanted > 0]
    if not len(positive) or not len(negative):
        return
    logistic = bool((positive < 0).all() and (negative > 0).all())
    reference = F.binary_cross_entropy_with_logits(made_up.reshape(-1), labels.reshape(-1).to(made_up))
    takes_logits = logistic and abs(float(logit) - float(reference)) < 1e-3 * max(1.0, float(reference))
    weighted = (
        logistic
        and abs(float(positive.mean() / positive[0]) - 1) < 1e-3
        and abs(float(negative.mean() / negative[0]) - 1) < 1e-3
    )
    if (
        inside
        and (takes_logits or weighted)
        and ends_in_sigmoid(lab, path)
        and not _is_squared(lab, outputs, targets, path, labels)
    ):
        message = "the outputs are probabilities already, and the loss takes their sigmoid once more"
        yield Finding("loss-input", "error", message, {}, "give the loss logits: leave the sigmoid out of the model")


def _is_squared(lab: Lab, outputs: Any, targets: Any, path: str, labels: Tensor) -> bool:
    """Whether the loss is a distance: 0 at the labels themselves."""
    scores = dict(leaves(outputs))[path]
    exact = replaced(outputs, path, labels.reshape(scores.shape).to(scores))
    return float(loss_of(lab, exact, targets)) < 1e-3
