"""Checks of the loss: what it wants of outputs, and whether following it leads to the targets.

The loss is asked, not read: outputs are made up, and its value and its gradient tell what is inside.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..finding import Finding, Severity
from .answer import Answer
from .lab import Lab
from .nested import leaves, mapped, rows_of

__all__ = [
    "NEAR",
    "bounds",
    "broadcast",
    "clipped",
    "ends_in_sigmoid",
    "given_batch",
    "loss_of",
    "needs_targets",
    "range_of_end",
    "replaced",
    "uses_targets",
]

NEAR = 1e-4
TURNED = 4  # networks with signs of their own that show where outputs can be
FAR = 3.0  # times the loss of a constant answer


def given_batch(lab: Lab) -> tuple[Any, Any, Any]:
    """(inputs, targets, outputs) of a training batch, outputs of training mode, without a graph."""
    inputs, targets = lab.first_batch
    with lab.program.kept(seed=0):
        outputs = lab.outputs(inputs, training=True)
    return inputs, targets, mapped(outputs, lambda t: t.detach())


def loss_of(lab: Lab, outputs: Any, targets: Any) -> Tensor:
    value = lab.program.loss(outputs, targets)
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def broadcast(lab: Lab) -> Iterator[Finding]:
    """Outputs (B, 1) beside targets (B,): an elementwise loss pairs every row with every other."""
    inputs, targets, outputs = given_batch(lab)
    found = []
    watch = _PairWatch()
    with lab.program.kept(seed=0), watch:
        if lab.program.train_step is not None:
            lab.step((inputs, targets), lab.program.optimizer or torch.optim.SGD(lab.program.model.parameters(), 0.0))
        else:
            loss_of(lab, outputs, targets)
    found = watch.pairs
    if found:
        one, other, name = found[0]
        message = f"{name} pairs shapes {list(one)} and {list(other)}: every row is compared with every other"
        fix = "bring both to one shape: outputs.squeeze(1), or targets.unsqueeze(1)"
        yield Finding("shape-broadcast", "error", message, {"shapes": [list(one), list(other)], "in": name}, fix)


class _PairWatch(torch.overrides.TorchFunctionMode):
    """Notes elementwise functions of a (B, 1) and a (B,) with B > 1, which nobody means."""

    NAMES = (
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "sub",
        "rsub",
        "mul",
        "eq",
        "div",
        "add",
    )

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Any, Any, str]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        tensors = [a for a in args[:2] if isinstance(a, Tensor)]
        if name in self.NAMES and len(tensors) == 2 and not _meant(*tensors):
            one, other = tensors[0].shape, tensors[1].shape
            if _column_and_row(one, other) or _column_and_row(other, one):
                self.pairs.append((tuple(one), tuple(other), name))
        return func(*args, **(kwargs or {}))


def _meant(one: Tensor, other: Tensor) -> bool:
    """Rows of one tensor beside one another, and whole numbers that are told apart, as where kin are looked for."""
    whole = not one.is_floating_point() and not other.is_floating_point()
    dense = one.layout == other.layout == torch.strided
    return whole or not dense or one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _column_and_row(one: Any, other: Any) -> bool:
    return len(one) == len(other) + 1 > 1 and one[-1] == 1 and tuple(one[:-1]) == tuple(other) and other[0] > 1


def uses_targets(lab: Lab) -> Iterator[Finding]:
    """Other targets give another loss."""
    if lab.loss_is_flat:
        return
    _, targets, outputs = given_batch(lab)
    parts = [t for _, t in leaves(targets) if t.dim() > 0 and len(t) > 2]
    if not parts or all(bool((t == t[:1]).all()) for t in parts):
        return
    generator = torch.Generator().manual_seed(0)
    outputs = mapped(outputs, lambda t: _stirred(t, generator))  # rows that are answered alike would hide it
    several = [outputs]
    if (answer := lab.answer).form == "numbers":  # outputs that are all below their targets are all pulled up
        scores = dict(leaves(outputs))[answer.path]
        several.append(replaced(outputs, answer.path, answer.labels.roll(5, 0).reshape(scores.shape).to(scores)))
    for outputs in several:
        base = _pull(lab, outputs, targets)
        if base is None:
            return
        for shift in (1, 2, 3):
            order = torch.arange(len(parts[0]), device=parts[0].device).roll(shift)
            try:
                other = _pull(lab, outputs, rows_of(targets, order))
            except (RuntimeError, ValueError, IndexError):
                return
            if other is None or float((other - base).abs().max()) > 1e-6 * float(base.abs().max().clamp(min=1e-12)):
                return
    if lab.answer.form == "unknown":
        return
    blind = not needs_targets(lab, outputs, targets)  # as where a network learns from its inputs alone
    message = "the loss pulls the same way with other rows' targets" + (", and without any" if blind else "")
    yield Finding("wrong-loss", "warning" if blind else "error", message, {}, "compare outputs with targets")


def needs_targets(lab: Lab, outputs: Any, targets: Any) -> bool:
    """Whether the loss looks at the targets at all."""
    base, unlike = _pull(lab, outputs, targets), _pull(lab, outputs, mapped(targets, torch.zeros_like))
    return base is None or unlike is None or not torch.equal(unlike, base)


def _pull(lab: Lab, outputs: Any, targets: Any) -> Tensor | None:
    """The loss's gradient in the outputs, as one vector."""
    free = mapped(outputs, lambda t: t.detach().clone().requires_grad_() if t.is_floating_point() else t)
    inside = [t for _, t in leaves(free) if t.requires_grad]
    with torch.enable_grad():
        loss = loss_of(lab, free, targets)
        if not loss.requires_grad:
            return None
        grads = torch.autograd.grad(loss.mean(), inside, allow_unused=True)
    return torch.cat([torch.zeros(1) if g is None else g.flatten().float() for g in grads])


def _stirred(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The tensor with a little noise, within 0..1 where it was."""
    if not tensor.is_floating_point():
        return tensor
    noise = torch.rand(tensor.shape, generator=generator).to(tensor)
    if bool(((tensor >= 0) & (tensor <= 1)).all()):
        return 0.9 * tensor + 0.1 * noise
    return tensor + noise * tensor.std().clamp(min=1e-3) if tensor.numel() > 1 else tensor


def bounds(lab: Lab, path: str) -> tuple[float | None, float | None]:
    """0 and 1 where the network's end keeps outputs there, so that a loss of probabilities is given such."""
    _, _, outputs = given_batch(lab)
    scores = dict(leaves(outputs))[path]
    if bool(((scores >= 0) & (scores <= 1)).all()) and ends_in_sigmoid(lab, path):
        return 0.0, 1.0
    if bool((scores <= 1e-6).all()):  # log-probabilities
        return None, None
    return None, None


def clipped(lab: Lab) -> Iterator[Finding]:
    """Badly wrong answers must pull: a loss that is cut off at some height has no gradient just where it is high."""
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form == "unknown":
        yield from _flat_far_away(lab, outputs, targets)
        yield from _flat_where_sure(lab, outputs, targets)
    if answer.form not in ("classes", "numbers", "binary"):
        return
    scores = dict(leaves(outputs))[answer.path].float()
    if answer.form == "numbers":
        spread = float(answer.labels.std().clamp(min=1e-3)) if answer.labels.numel() > 1 else 1.0
        worse = [answer.labels.reshape(scores.shape) + k * spread for k in (0.5, 2.0, 8.0)]
    elif answer.form == "classes":
        if scores.dim() != 2 or len(answer.labels) != len(scores):
            return
        right = F.one_hot(answer.labels, scores.shape[1]).to(scores)
        worse = [-k * right for k in (1.0, 4.0, 16.0)]
        if bool((scores.logsumexp(1).abs() < 1e-3).all()):
            worse = [value.log_softmax(1) for value in worse]
        elif bool((scores >= 0).all()) and bool(((scores.sum(1) - 1).abs() < 1e-3).all()):
            worse = [value.softmax(1) for value in worse]
    else:
        low, _ = bounds(lab, answer.path)
        if low is not None:
            return
        worse = [(-k * (2 * answer.labels - 1)).reshape(scores.shape) for k in (1.0, 4.0, 16.0)]
    slopes, heights = [], []
    for value in worse:
        free = value.detach().clone().requires_grad_()
        with torch.enable_grad():
            try:
                loss = loss_of(lab, replaced(outputs, answer.path, free), targets)
            except (RuntimeError, ValueError, IndexError):
                return
            heights.append(float(loss.detach().mean()))
            if not loss.requires_grad:
                slopes.append(0.0)
                continue
            (grad,) = torch.autograd.grad(loss.mean(), free, allow_unused=True)
        slopes.append(0.0 if grad is None else float(grad.abs().sum()))
    if (slopes[0] > 0 and slopes[-1] < 1e-9) or (slopes[1] > 0 and slopes[-1] < 1e-6 * slopes[1]):
        message = "answers that are very wrong have no gradient: the loss is cut off at some height"
        # far above what a constant answer costs it leaves out rows that cannot be right, as robust losses do
        usual = _constant_loss(lab, outputs, targets, answer)
        severity: Severity = "warning" if slopes[1] > 0 and heights[-1] > FAR * usual > 0 else "error"
        evidence = {"slopes": slopes, "height": heights[-1], "constant_answer": usual}
        yield Finding("loss-clipped", severity, message, evidence, "clip gradients (clip_grad_norm_), never the loss")
    elif all(slope == 0 for slope in slopes):
        message = "wrong answers have no gradient: the loss is cut off"
        yield Finding(
            "loss-clipped", "error", message, {"slopes": slopes}, "clip gradients (clip_grad_norm_), never the loss"
        )


def _flat_far_away(lab: Lab, outputs: Any, targets: Any) -> Iterator[Finding]:
    """Outputs of any make: rows that are pulled where they are not, and none where all are far from there.

    Margins leave alone the half that is right by chance, not nearly all.
    """
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point() or outputs.dim() != 2 or lab.compares_rows:
        return
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(outputs.shape, generator=random).to(outputs)
    pulled = []
    for size in (0.0, 30.0):
        free = (outputs + size * noise).requires_grad_()
        try:
            with torch.enable_grad():
                loss = loss_of(lab, free, targets)
                grad = torch.autograd.grad(loss.mean(), free, allow_unused=True)[0] if loss.requires_grad else None
        except (RuntimeError, ValueError, IndexError):
            return
        pulled.append(0.0 if grad is None else float((grad != 0).any(1).float().mean()))
    near, far = pulled
    if 0 < near < 0.9 and far < 0.05:
        message = f"{1 - near:.0%} of rows have no gradient at first, and {1 - far:.0%} where answers are far off"
        evidence = {"pulled_at_first": near, "pulled_far_off": far}
        yield Finding("loss-clipped", "error", message, evidence, "clip gradients (clip_grad_norm_), never the loss")


def _flat_where_sure(lab: Lab, outputs: Any, targets: Any) -> Iterator[Finding]:
    """A number with a spread: where the number is right, the density grows without end as the spread shrinks, and the
    loss must fall with it; it is exactly 0 and pulls no more where it was cut off there.
    """
    if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[1] != 2 or lab.compares_rows:
        return
    if not isinstance(targets, Tensor) or not targets.is_floating_point() or targets.numel() != len(outputs):
        return
    right = targets.reshape(-1).to(outputs)
    for place in (0, 1):
        losses, pulls = [], []
        for spread in range(-6, 7):
            columns = [right, torch.full_like(right, float(spread))]
            free = torch.stack(columns if place == 0 else columns[::-1], 1).requires_grad_()
            try:
                with torch.enable_grad():
                    loss = loss_of(lab, free, targets).mean()
                    (pull,) = torch.autograd.grad(loss, free, allow_unused=True)
            except (RuntimeError, ValueError, IndexError):
                return
            losses.append(float(loss.detach()))
            pulls.append(0.0 if pull is None else float(pull.abs().max()))
        flat = [loss == 0 and pull == 0 for loss, pull in zip(losses, pulls, strict=True)]
        rest = losses[sum(flat) :]
        if flat == sorted(flat, reverse=True) and 2 <= sum(flat) <= 9 and all(map(operator.lt, rest, rest[1:])):
            message = "rows that are answered right with a small spread have a loss of exactly 0 and no gradient"
            evidence = {"losses": losses, "column": 1 - place}
            fix = "a density may be above 1, and its negative logarithm below 0: let it be"
            yield Finding("loss-clipped", "error", message, evidence, fix)
            return


def _constant_loss(lab: Lab, outputs: Any, targets: Any, answer: Answer) -> float:
    """The loss where all rows are answered alike, by the mean of the targets or the shares of the classes."""
    scores = dict(leaves(outputs))[answer.path].float()
    if answer.form == "numbers":
        made = answer.labels.mean(0).expand_as(answer.labels).reshape(scores.shape).to(scores)
    elif answer.form == "classes":
        shares = torch.bincount(answer.labels, minlength=scores.shape[1]).to(scores) / len(answer.labels)
        made = shares.clamp(min=1e-6).log().expand_as(scores)
        if bool((scores >= 0).all()) and bool(((scores.sum(1) - 1).abs() < 1e-3).all()):
            made = made.exp()
    else:
        made = torch.full_like(scores, float(answer.labels.float().mean().clamp(1e-6, 1 - 1e-6).logit()))
    return float(loss_of(lab, replaced(outputs, answer.path, made), targets).mean())


def replaced(outputs: Any, path: str, tensor: Tensor) -> Any:
    names = iter([name for name, _ in leaves(outputs)])
    return mapped(outputs, lambda old: tensor if next(names) == path else old)


def ends_in_sigmoid(lab: Lab, path: str) -> bool:
    """Whether a sigmoid ends the network: see `range_of_end`."""
    low, high = range_of_end(lab, path)
    return low >= 0 and high <= 1


def range_of_end(lab: Lab, path: str) -> tuple[float, float]:
    """The least and the largest output with every weight ten times as large, and of either sign: a sigmoid keeps it in
    0..1, and a softplus above 0, whatever the weights.
    """
    held: dict[str, tuple[float, float]] = lab.__dict__.setdefault("_ranges", {})
    if path not in held:
        low, high = float("inf"), float("-inf")
        for draw in range(TURNED + 1):
            random = torch.Generator().manual_seed(draw)
            with lab.program.kept(seed=0):
                with torch.no_grad():
                    for parameter in lab.program.model.parameters():
                        sign = 1.0 if draw == 0 or float(torch.rand((), generator=random)) < 0.5 else -1.0
                        if bool(parameter.any()):
                            parameter.mul_(10 * sign)
                        else:  # a last layer may begin at zero
                            parameter.normal_()
                outputs = lab.outputs(lab.first_batch[0], training=True)
            scores = dict(leaves(outputs))[path].float()
            scores = scores[scores.isfinite()]
            if scores.numel():
                low, high = min(low, float(scores.min())), max(high, float(scores.max()))
        held[path] = low, high
    return held[path]
