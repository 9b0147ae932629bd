"""How training begins: finite, and from weights of a size that lets signals through."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding, Severity
from .experiment import CLEAR, Change
from .lab import Lab
from .learning import batch_loss
from .loss import given_batch, loss_of
from .nested import leaves

__all__ = ["finite", "finite_rows", "initial"]

BY_HEART = 0.3  # of a score, between training rows and others


def finite_rows(lab: Lab) -> Iterator[Finding]:
    """No NaN in what is given, unless the program looks after it: its loss is a number all the same."""
    for what, part in (("inputs", lab.train.inputs), ("targets", lab.train.targets)):
        for name, tensor in leaves(part):
            if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
                continue
            bad = int((~tensor.isfinite()).reshape(len(tensor), -1).any(1).sum()) if tensor.dim() else 1
            with lab.program.kept(seed=0), torch.no_grad():
                losses = [float(batch_loss(lab, batch)) for batch in lab.train.batches]
            severity: Severity = "note" if all(map(math.isfinite, losses)) else "error"
            message = f"{what} {name!r} hold NaN or infinity in {bad} of {len(lab.train)} training rows"
            fix = "clean the data, or divide by a spread that is not 0"
            yield Finding("non-finite", severity, message, {"rows": bad}, fix)
            return


def finite(lab: Lab) -> Iterator[Finding]:
    """No NaN in the loss before and while the program trains."""
    own = lab.own
    if not own.finite:
        at = next((n for n, value in enumerate(own.losses) if not math.isfinite(value)), len(own.losses))
        slower = _at_lower_rate(lab)
        evidence = {"step": at, "finite_at_a_tenth_of_the_rate": slower}
        check = "lr-too-high" if slower else "non-finite"
        message = f"the loss is NaN or infinite at step {at}"
        message += (
            "; at a hundredth of the learning rate it is not"
            if slower
            else ", and at a hundredth of the learning rate as well"
        )
        fix = "lower the learning rate" if slower else "look for log(0), a division by 0, sqrt(0) or an overflow"
        yield Finding(check, "error", message, evidence, fix)


def _at_lower_rate(lab: Lab) -> bool:

    calm = lab.outcome(Change("a hundredth of the learning rate", lr=0.01))
    return calm.finite and calm.last_loss <= calm.first_loss


def initial(lab: Lab) -> Iterator[Finding]:
    """A network that knows nothing should lose what guessing loses: log C for C classes (Karpathy, 2019).

    Where it loses far more, or learns its training rows and nothing else, the same program is trained once more from
    weights as PyTorch draws them, and Xavier where a module has no way of its own (Glorot and Bengio, 2010).
    """

    _inputs, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    program = lab.program
    suspicious, evidence = False, {}
    if answer.form == "classes":
        loss, expected = float(loss_of(lab, outputs, targets).mean()), math.log(answer.num_classes)
        evidence = {"loss": loss, "expected": expected}
        suspicious = loss > 2 * expected + 1
    with program.kept(seed=0):
        signal, gradients = _signal(lab)
    evidence |= {"smallest_spread": signal, "gradient_ratio": gradients}
    suspicious = suspicious or signal < 1e-3 or gradients < 1e-5 or lab.own.train_score - lab.own.score > BY_HEART
    if not suspicious:
        return

    def redraw(model: torch.nn.Module) -> None:
        for module in model.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
                continue
            for weight in module.parameters(recurse=False):
                if weight.dim() > 1:
                    torch.nn.init.xavier_normal_(weight)  # the same whichever side is the inputs'

    own, other = lab.own, lab.outcome(Change("weights as PyTorch draws them", prepare=redraw))
    evidence |= {"learned": own.learned(), "learned_from_default_weights": other.learned()}
    if own.gain(other) > CLEAR:
        message = (
            f"initial weights are of the wrong size: from usual ones the program learns {other.learned():.0%} of"
            f" what there is, not {own.learned():.0%}"
        )
        yield Finding("init-scale", "error", message, evidence, "draw weights with a variance of 1/fan_in to 2/fan_in")
    elif answer.form == "classes" and evidence["loss"] > 2 * evidence["expected"] + 1:
        message = f"the loss before training is {evidence['loss']:.2f}, guessing gives {evidence['expected']:.2f}"
        yield Finding("init-scale", "warning", message, evidence, "scale the last layer's initial weights down")


def _signal(lab: Lab) -> tuple[float, float]:
    """How far rows differ at the narrowest layer, as a share of its size there; and the ratio of the gradients' sizes
    of the first and the last layer."""
    spreads: list[float] = []
    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    layers = [m for m in lab.program.model.modules() if isinstance(m, kinds)]

    def after(module: Any, given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and len(output) > 2:
            flat = output.detach().float().reshape(len(output), -1)
            with suppress(RuntimeError):  # within torch.func there are no numbers to have
                spreads.append(float(flat.std(0).mean()))

    hooks = [layer.register_forward_hook(after) for layer in layers]
    try:
        lab.program.model.train()
        value = lab.program.loss(lab.program.outputs(lab.first_batch[0]), lab.first_batch[1])
        value.mean().backward()
    finally:
        for hook in hooks:
            hook.remove()
    grads = [float(m.weight.grad.norm() / m.weight.numel() ** 0.5) for m in layers if m.weight.grad is not None]
    ratio = grads[0] / grads[-1] if len(grads) > 1 and grads[-1] > 0 else 1.0
    return (min(spreads) if spreads else 1.0), ratio
