"""What a loss and a network take alike: by it outputs are told apart that are classes, numbers, ranks and places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .answer import read_answer
from .nested import leaves, mapped, row_count, rows_of

if TYPE_CHECKING:
    from .lab import Lab

__all__ = ["compares_rows", "embeds", "loss_is_flat", "relative"]


def embeds(lab: Lab) -> bool:
    """Whether the loss takes any order of an output's numbers alike, so that they are no class's each.

    A loss that heeds targets, only not which row has which, is meant for classes and wrong.
    """
    if lab.loss_is_flat:
        return False
    inputs, targets = lab.first_batch
    with lab.program.kept(seed=0):
        outputs = mapped(lab.outputs(inputs, training=True), lambda t: t.detach())
        answer = read_answer(outputs, targets)
        scores = dict(leaves(outputs)).get(answer.path)
        if answer.form != "classes" or scores is None or scores.dim() != 2:
            return False
        order = torch.arange(scores.shape[1], device=scores.device).roll(1)
        others, none = mapped(targets, lambda t: t.roll(1, 0) if t.dim() else t), mapped(targets, torch.zeros_like)
        turned = mapped(outputs, lambda t: t[:, order] if t.shape == scores.shape else t)

        def value(outputs: Any, targets: Any) -> float:
            torch.manual_seed(0)
            return float(torch.as_tensor(lab.program.loss(outputs, targets)).detach().mean())

        base = value(outputs, targets)
        same = 1e-5 * max(abs(base), 1e-3)
        heeds = abs(value(outputs, others) - base) > same
        blind = abs(value(outputs, none) - base) < same
        return abs(value(turned, targets) - base) < same and (heeds or blind)


def relative(lab: Lab) -> bool:
    """Whether the loss takes outputs alike that are all raised or stretched, in each row or as a whole.

    Such are ranked, or compared with one another; they are no numbers that are to be hit.
    """
    inputs, targets = lab.first_batch
    with lab.program.kept(seed=0):
        outputs = mapped(lab.outputs(inputs, training=True), lambda t: t.detach())
        answer = read_answer(outputs, targets)
        scores = dict(leaves(outputs)).get(answer.path)
        if answer.form != "numbers" or scores is None or answer.shares:
            return False
        random = torch.Generator().manual_seed(0)
        each = (len(scores), *[1] * (scores.dim() - 1))
        by_row = torch.rand(each, generator=random).to(scores)
        noise = torch.randn(scores.shape, generator=random).to(scores)

        def value(made: Tensor) -> float:
            torch.manual_seed(0)
            moved = mapped(outputs, lambda t: made if t is scores else t)
            return float(torch.as_tensor(lab.program.loss(moved, targets)).detach().mean())

        made = scores + noise  # of an untrained network all may be the same
        base, stirred = value(made), value(made + noise)
        same = 1e-5 * max(abs(base), 1e-3)
        alike = [value(made + 2), value(made * 2)]
        if scores.numel() > len(scores):
            alike += [value(made + by_row), value(made * (0.5 + by_row))]
    return abs(stirred - base) > same and any(abs(other - base) < same for other in alike)


def compares_rows(lab: Lab) -> bool:
    """Whether outputs are as wide as the batch is long: every row beside every other, as contrastive losses ask."""
    inputs, _ = lab.first_batch
    count = row_count(inputs)
    if count < 4:
        return False
    with lab.program.kept(seed=0):
        whole = [t for _, t in leaves(lab.outputs(inputs)) if t.dim() >= 2]
        if not any(t.shape[0] == count and count in t.shape[1:] for t in whole):
            return False
        half = [t for _, t in leaves(lab.outputs(rows_of(inputs, slice(0, count // 2)))) if t.dim() >= 2]
    return any(t.shape[0] == count // 2 and count // 2 in t.shape[1:] for t in half)


def loss_is_flat(lab: Lab) -> bool:
    """Whether the loss has no gradient in the untrained network's outputs, so that nothing below can have one."""
    inputs, targets = lab.first_batch
    with lab.program.kept(seed=0):
        outputs = mapped(
            lab.outputs(inputs, training=True),
            lambda t: t.detach().requires_grad_() if t.is_floating_point() else t,
        )
        free = [t for _, t in leaves(outputs) if t.requires_grad]
        with torch.enable_grad():
            loss = lab.program.loss(outputs, targets)
            if not isinstance(loss, Tensor) or not loss.requires_grad:
                return True
            grads = torch.autograd.grad(loss.mean(), free, allow_unused=True)
    return all(grad is None or not bool(grad.any()) for grad in grads)
