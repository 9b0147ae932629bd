"""Checks of the loss: what it wants of outputs, and whether following it leads to the targets.

The loss is asked, not read: outputs are made up, and its value and its gradient tell what is inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..finding import Finding
from .answer import Answer
from .lab import Lab
from .nested import leaves, mapped, rows_of

__all__ = [
    "against_the_metric",
    "broadcast",
    "clipped",
    "ends_in_sigmoid",
    "given_batch",
    "kin_apart",
    "loss_of",
    "minimiser",
    "replaced",
    "silent_label",
    "uses_targets",
]

FREE_STEPS = 300  # of outputs that follow the loss by themselves


NEAR = 1e-4


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
        if name in self.NAMES and len(tensors) == 2:
            one, other = tensors[0].shape, tensors[1].shape
            if _column_and_row(one, other) or _column_and_row(other, one):
                self.pairs.append((tuple(one), tuple(other), name))
        return func(*args, **(kwargs or {}))


def _column_and_row(one: Any, other: Any) -> bool:
    return len(one) == len(other) + 1 and one[-1] == 1 and tuple(one[:-1]) == tuple(other) and other[0] > 1


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
    if (answer := lab.answer).form == "numbers":  # outputs that are all below their targets are all pulled up
        scores = dict(leaves(outputs))[answer.path]
        outputs = replaced(outputs, answer.path, answer.labels.roll(5, 0).reshape(scores.shape).to(scores))
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
    blind = not _needs_targets(lab, outputs, targets)  # as where a network learns from its inputs alone
    message = "the loss pulls the same way with other rows' targets" + (", and without any" if blind else "")
    yield Finding("wrong-loss", "warning" if blind else "error", message, {}, "compare outputs with targets")


def _needs_targets(lab: Lab, outputs: Any, targets: Any) -> bool:
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


def minimiser(lab: Lab) -> Iterator[Finding]:
    """Outputs that follow the loss by themselves must end at the targets: the best a network could do.

    Adam moves free outputs down the loss; then they are decided as answers are. Where the loss leads to other answers,
    it is not the loss of this problem; where it leads away from all of them, its sign is wrong.
    """
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form == "unknown" or lab.loss_is_flat or not _needs_targets(lab, outputs, targets):
        return
    scores = dict(leaves(outputs))[answer.path]
    low, high = _bounds(lab, answer.path)
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
    reached = lab.read(replaced(outputs, answer.path, free.detach()), targets)
    if (asked := _asked(answer, pulled)) is not None:
        answer, reached = _some(answer, asked), _some(reached, asked)
    start, end, chance = answer.score(), reached.score(), answer.chance()
    evidence = {"score_at_first": start, "score_at_the_minimum": end, "best_constant": chance}
    if answer.form == "numbers":
        yield from _numbers_minimum(answer, reached, evidence)
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


def _numbers_minimum(answer: Any, reached: Any, evidence: dict[str, Any]) -> Iterator[Finding]:
    spread = float((answer.labels - answer.labels.mean(0)).square().mean().clamp(min=1e-12))

    def error(of: Any) -> float:
        """Logits may be asked for shares between 0 and 1."""
        shares = bool(((of.labels >= 0) & (of.labels <= 1)).all())
        given = (of.scores, of.scores.sigmoid()) if shares else (of.scores,)
        return min(float((scores - of.labels).square().mean()) for scores in given)

    before, after = error(answer), error(reached)
    if after > 4 * max(before, spread):
        message = "following the loss leads away from the targets"
        yield Finding(
            "loss-sign", "error", message, evidence, "the loss has to fall as answers come near: look at its sign"
        )
    elif after > 0.5 * spread and after > 0.5 * before:
        message = f"outputs that minimise the loss are not the targets (R squared {reached.score():.2f})"
        yield Finding("wrong-loss", "error", message, evidence, "compare outputs with the targets, element by element")


def _bounds(lab: Lab, path: str) -> tuple[float | None, float | None]:
    """0 and 1 where the network's end keeps outputs there, so that a loss of probabilities is given such."""
    _, _, outputs = given_batch(lab)
    scores = dict(leaves(outputs))[path]
    if bool(((scores >= 0) & (scores <= 1)).all()) and ends_in_sigmoid(lab, path):
        return 0.0, 1.0
    if bool((scores <= 1e-6).all()):  # log-probabilities
        return None, None
    return None, None


def silent_label(lab: Lab) -> Iterator[Finding]:
    """Rows of one label without a gradient whatever is answered, as under a loss of -1 and 1 that is given 0 and 1."""
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
    if answer.form not in ("binary", "classes") or not answer.one_a_row or lab.loss_is_flat:
        return
    scores = dict(leaves(outputs))[answer.path].float()
    if len(answer.labels) != len(scores) or scores.dim() > 2 or _bounds(lab, answer.path)[0] is not None:
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


def clipped(lab: Lab) -> Iterator[Finding]:
    """Badly wrong answers must pull: a loss that is cut off at some height has no gradient just where it is high."""
    _, targets, outputs = given_batch(lab)
    answer = lab.read(outputs, targets)
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
        low, _ = _bounds(lab, answer.path)
        if low is not None:
            return
        worse = [(-k * (2 * answer.labels - 1)).reshape(scores.shape) for k in (1.0, 4.0, 16.0)]
    slopes = []
    for value in worse:
        free = value.detach().clone().requires_grad_()
        with torch.enable_grad():
            try:
                loss = loss_of(lab, replaced(outputs, answer.path, free), targets)
            except (RuntimeError, ValueError, IndexError):
                return
            if not loss.requires_grad:
                slopes.append(0.0)
                continue
            (grad,) = torch.autograd.grad(loss.mean(), free, allow_unused=True)
        slopes.append(0.0 if grad is None else float(grad.abs().sum()))
    if (slopes[0] > 0 and slopes[-1] < 1e-9) or (slopes[1] > 0 and slopes[-1] < 1e-6 * slopes[1]):
        message = "answers that are very wrong have no gradient: the loss is cut off at some height"
        yield Finding(
            "loss-clipped", "error", message, {"slopes": slopes}, "clip gradients (clip_grad_norm_), never the loss"
        )
    elif all(slope == 0 for slope in slopes):
        message = "wrong answers have no gradient: the loss is cut off"
        yield Finding(
            "loss-clipped", "error", message, {"slopes": slopes}, "clip gradients (clip_grad_norm_), never the loss"
        )


def replaced(outputs: Any, path: str, tensor: Tensor) -> Any:
    names = iter([name for name, _ in leaves(outputs)])
    return mapped(outputs, lambda old: tensor if next(names) == path else old)


def ends_in_sigmoid(lab: Lab, path: str) -> bool:
    """Whether outputs stay in 0..1 when every weight is ten times as large: a sigmoid ends the network."""
    with lab.program.kept(seed=0):
        with torch.no_grad():
            for parameter in lab.program.model.parameters():
                parameter.mul_(10)
        outputs = lab.outputs(lab.first_batch[0], training=True)
    scores = dict(leaves(outputs))[path]
    return bool(((scores >= 0) & (scores <= 1)).all())
