"""Where the loss leads: outputs that follow it by themselves must end at the targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .answer import Answer
from .lab import Lab
from .loss import NEAR, bounds, given_batch, loss_of, needs_targets, range_of_end, replaced
from .nested import leaves

__all__ = ["against_the_metric", "kin_apart", "minimiser", "silent_label"]

HALVINGS = 40  # of an interval: to a part in 10^12
FREE_STEPS = 300  # of outputs that follow the loss by themselves


def minimiser(lab: Lab) -> Iterator[Finding]:
    """Outputs that follow the loss by themselves must end at the targets: the best a network could do.

    Adam moves free outputs down the loss; then they are decided as answers are. Where the loss leads to other answers,
    it is not the loss of this problem; where it leads away from all of them, its sign is wrong.
    """
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form == "unknown" or lab.loss_is_flat or not needs_targets(lab, outputs, targets):
        return
    scores = dict(leaves(outputs))[answer.path]
    low, high = bounds(lab, answer.path)
    free = scores.float().clone().requires_grad_()
    optimiser = torch.optim.Adam(
        [free], lr=0.1 * max(1.0, float(answer.labels.float().std()) if answer.form == "numbers" else 1.0)
    )
    first, last = None, 0.0
    pulled = torch.zeros_like(free, dtype=torch.bool)
    with torch.enable_grad():
        for _ in range(FREE_STEPS):
            optimiser.zero_grad()
            try:
                value = loss_of(lab, replaced(outputs, answer.path, free), targets)
            except (RuntimeError, ValueError, IndexError):
                return
            if not value.requires_grad:
                yield Finding(
                    "gradient-cut",
                    "error",
                    "the loss has no gradient in the outputs",
                    {},
                    "compute it from tensors alone",
                )
                return
            value = value if value.dim() == 0 else value.mean()
            first = float(value.detach()) if first is None else first
            last = float(value.detach())
            value.backward()
            if free.grad is None:
                return
            pulled |= free.grad != 0
            optimiser.step()
            if low is not None:
                with torch.no_grad():
                    free.clamp_(low + 1e-4, (high or 1.0) - 1e-4)
    if not bool(free.isfinite().all()):
        yield Finding(
            "non-finite", "error", "the loss leads outputs to NaN or infinity", {"first": first}, "look for log(0)"
        )
        return
    if answer.form == "numbers":  # what the loss leaves alone, such as places of what is not there, is not asked
        free = torch.where(pulled, free, answer.labels.reshape(free.shape).to(free))
    reached = lab.read(replaced(outputs, answer.path, free.detach()), targets)
    if (asked := _asked(answer, pulled)) is not None:
        answer, reached = _some(answer, asked), _some(reached, asked)
    start, end, chance = answer.score(), reached.score(), answer.chance()
    evidence = {"score_at_first": start, "score_at_the_minimum": end, "best_constant": chance}
    if answer.form == "numbers":
        resting = reached if _in_order(answer, reached) else _at_rest(lab, outputs, targets, answer)
        if resting is None or not _in_order(answer, resting):  # in order: a link, such as the logarithm of a rate
            yield from _numbers_minimum(answer, reached, evidence)
        elif _rests_at_logs(answer, resting) and range_of_end(lab, answer.path)[0] >= 0:
            message = "the loss takes logarithms of rates, and the network's outputs are kept above 0, as rates are"
            fix = "log_input=False, or no activation at the end"
            yield Finding("loss-input", "error", message, evidence, fix)
        return
    bottomless = last < min(0.0, first or 0.0) - 1
    evidence["loss_at_the_minimum"] = last
    if answer.form == "multilabel":
        yield from _excluding(lab, outputs, targets, answer)
    if end > 0.95 or (answer.form == "binary" and not bottomless):  # of two, either may be the one that scores high
        return
    if end < min(start, chance) - 0.1 or end < 0.02:
        message = f"following the loss leads away from the targets: {end:.0%} of outputs that minimise it are right"
        yield Finding(
            "loss-sign", "error", message, evidence, "the loss has to fall as answers become right: look at its sign"
        )
    elif end < 0.8:
        message = (
            f"outputs that minimise the loss are right in {end:.0%} of answers alone: it is not this problem's loss"
        )
        yield Finding(
            "wrong-loss",
            "error",
            message,
            evidence,
            "cross_entropy for classes, binary_cross_entropy_with_logits for labels",
        )


def _asked(answer: Answer, pulled: Tensor) -> Tensor | None:
    """(R,) bool: of one answer a position, those that the loss pulls at; None where it pulls at all, or at none."""
    if answer.form != "classes" or answer.one_a_row:
        return None
    each = pulled.any(-1).flatten() if pulled.shape[-1] == answer.num_classes else pulled.any(1).flatten()
    return each if len(each) == len(answer.labels) and each.any() and not each.all() else None


def _some(answer: Answer, asked: Tensor) -> Answer:
    return replace(answer, scores=answer.scores[asked], labels=answer.labels[asked])


def _at_rest(lab: Lab, outputs: Any, targets: Any, answer: Answer) -> Answer | None:
    """Where the loss stops to pull at each number by itself, by halving: steps that fit counts of 1 do not fit 400."""
    scores = dict(leaves(outputs))[answer.path].float()
    labels = answer.labels.reshape(scores.shape).to(scores)
    spread = float(labels.std().clamp(min=1e-3))
    low = 0.0 if range_of_end(lab, answer.path)[0] >= 0 else min(0.0, float(labels.min())) - 10 * spread
    below, above = torch.full_like(scores, low), torch.full_like(scores, max(0.0, float(labels.max())) + 10 * spread)
    for _ in range(HALVINGS):
        middle = ((below + above) / 2).requires_grad_()
        try:
            with torch.enable_grad():
                loss = loss_of(lab, replaced(outputs, answer.path, middle), targets)
                (pull,) = torch.autograd.grad(loss.mean(), middle)
        except (RuntimeError, ValueError, IndexError):
            return None
        below, above = torch.where(pull < 0, middle, below).detach(), torch.where(pull < 0, above, middle).detach()
    return lab.read(replaced(outputs, answer.path, below), targets)


def _rests_at_logs(answer: Answer, resting: Answer) -> bool:
    """Whether it stops at the logarithms of the targets, where these are counts above 1."""
    some = answer.labels >= 2
    return bool(some.any()) and bool(((resting.scores - answer.labels.log()).abs()[some] < 0.01).all())


def _in_order(answer: Answer, reached: Answer) -> bool:
    """Whether outputs at the minimum rise with their targets, each column of them."""
    from scipy.stats import spearmanr

    asked = answer.labels.std(0) > 0
    columns = answer.labels[:, asked].T, reached.scores[:, asked].T
    pairs = zip(*(column.detach().cpu().numpy() for column in columns), strict=True)
    return all(float(spearmanr(one, other).statistic) > 0.9 for one, other in pairs)


def _numbers_minimum(answer: Answer, reached: Answer, evidence: dict[str, Any]) -> Iterator[Finding]:
    spread = float((answer.labels - answer.labels.mean(0)).square().mean().clamp(min=1e-12))
    before, after = float(answer.misfit()), float(reached.misfit())
    if answer.shares and after > 0.2 * spread:
        leading = (reached.scores.argmax(1) == answer.labels.argmax(1)).float().mean()
        if float(leading) > 0.9 and float(reached.scores.softmax(1).max(1).values.mean()) > 0.95:
            message = "the loss is least where each row's largest share is all: it takes log-probabilities"
            yield Finding("loss-input", "error", message, evidence, "log_softmax before kl_div, or cross_entropy")
            return
    if after > 4 * max(before, spread):
        message = "following the loss leads away from the targets"
        yield Finding(
            "loss-sign", "error", message, evidence, "the loss has to fall as answers come near: look at its sign"
        )
    elif after > 0.5 * spread and after > 0.5 * before:
        message = f"outputs that minimise the loss are not the targets (R squared {reached.score():.2f})"
        yield Finding("wrong-loss", "error", message, evidence, "compare outputs with the targets, element by element")


def _excluding(lab: Lab, outputs: Any, targets: Any, answer: Any) -> Iterator[Finding]:
    """Labels that do not exclude one another, under a loss that lets them share one whole."""
    counts = answer.labels.sum(1)
    if float((counts == 1).float().mean()) > 0.98:
        return
    scores = dict(leaves(outputs))[answer.path]
    row = torch.randn(len(scores), 1, generator=torch.Generator().manual_seed(0)).to(scores)
    try:
        base, raised, by_row = (
            float(loss_of(lab, replaced(outputs, answer.path, scores + more), targets).mean())
            for more in (0.0, 2.0, row)
        )
    except (RuntimeError, ValueError):  # a loss of probabilities
        return
    if max(abs(raised - base), abs(by_row - base)) < NEAR * max(1.0, abs(base)):
        message = "rows have several labels, or none, and the loss is a softmax over them: they compete for one whole"
        yield Finding(
            "wrong-loss", "error", message, {"labels_a_row": float(counts.mean())}, "binary_cross_entropy_with_logits"
        )


def silent_label(lab: Lab) -> Iterator[Finding]:
    """Rows of one label without a gradient whatever is answered, as under a loss of -1 and 1 that is given 0 and 1."""
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form not in ("binary", "classes") or not answer.one_a_row or lab.loss_is_flat:
        return
    scores = dict(leaves(outputs))[answer.path].float()
    if len(answer.labels) != len(scores) or scores.dim() > 2 or bounds(lab, answer.path)[0] is not None:
        return
    pulled = torch.zeros(len(scores), dtype=torch.bool)
    random = torch.Generator().manual_seed(0)
    for size in (0.1, 1.0, 4.0):
        free = (size * torch.randn(scores.shape, generator=random)).to(scores).requires_grad_()
        try:
            with torch.enable_grad():
                loss = loss_of(lab, replaced(outputs, answer.path, free), targets)
                (grad,) = torch.autograd.grad(loss.mean(), free)
        except (RuntimeError, ValueError, IndexError):
            return
        pulled |= (grad.reshape(len(grad), -1) != 0).any(1).cpu()
    labels = answer.labels.cpu()
    silent = [
        int(label)
        for label in labels.unique()
        if int((labels == label).sum()) > 1 and not pulled[labels == label].any()
    ]
    if silent and pulled.any():
        message = f"rows of label {silent[0]} never get a gradient, whatever is answered: the loss does not heed them"
        fix = "look at what the loss takes for labels: -1 and 1, 0 and 1, or one that it ignores"
        yield Finding("wrong-loss", "error", message, {"labels": silent}, fix)


def against_the_metric(lab: Lab) -> Iterator[Finding]:
    """A loss that falls far below 0 while the program's own metric gets worse than that of the untrained network."""
    program, own = lab.program, lab.own
    if program.evaluate is None or program.val is None or own.metric is None:
        return
    if lab.answer.form not in ("unknown", "numbers"):  # others are judged by what they answer, see `minimiser`
        return
    if own.last_loss >= min(0.0, own.first_loss) - abs(own.first_loss):
        return
    with program.kept(seed=0):
        before = [float(program.evaluate(program.model, program.val)) for _ in range(2)]
    if own.metric < min(before) - abs(before[0] - before[1]):
        message = (
            f"training lowers the loss from {own.first_loss:.3g} to {own.last_loss:.3g}, and the metric from"
            f" {min(before):.3g} to {own.metric:.3g}"
        )
        evidence = {"loss": [own.first_loss, own.last_loss], "metric": [min(before), own.metric]}
        yield Finding("loss-sign", "error", message, evidence, "look at the sign of each part of the loss")


def kin_apart(lab: Lab) -> Iterator[Finding]:
    """Outputs that are places in a space: training must not carry rows of one class away from one another."""
    if lab.answer.form != "unknown":
        return
    with lab.program.kept(seed=0):
        before = lab.kin()
    after = lab.own.kin
    if after < before - 0.06:  # false where either is not known
        message = f"before training {before:.0%} of rows lie nearest to one of their class, after it {after:.0%}"
        fix = "look at the sign of each distance in the loss: kin are pulled, strangers pushed"
        yield Finding("loss-sign", "error", message, {"before": before, "after": after}, fix)
