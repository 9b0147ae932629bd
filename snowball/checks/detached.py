"""Gradients that end inside the network, though its weights get some by another way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .dependence import difference
from .experiment import CLEAR, Change
from .lab import Lab
from .learning import batch_loss
from .nested import leaves

__all__ = ["cut_where_drawn", "detached", "untaught"]

MOVED = 0.05  # of the answer, by weights that are changed by half of their spread


def cut_where_drawn(lab: Lab) -> Iterator[Finding]:
    """Gradients that end where the network draws from a distribution, or takes a slope of its own.

    `rsample()` and `create_graph=True` let them pass. An error is only where the program learns more so: the
    score-function estimator does without (Williams, 1992), and a slope may be wanted for itself.
    """
    with lab.program.kept(seed=0), _passing_where_drawn() as cuts:
        batch_loss(lab, lab.first_batch)
    if not cuts:
        return
    other = lab.outcome(Change("gradients pass where rows are drawn", mode=_passing_where_drawn))
    gain = lab.own.gain(other)
    if gain > CLEAR:
        message = f"{cuts[0]} ends the gradient inside the network; where it passes the program learns {gain:.0%} more"
        fix = "rsample() in place of sample(), create_graph=True where a slope is part of the loss"
        yield Finding("gradient-cut", "error", message, {"cuts": sorted(set(cuts)), "gain_with_gradient": gain}, fix)


def detached(lab: Lab) -> Iterator[Finding]:
    """`detach()` and `.data` within model and loss: the same training with the gradient passing through.

    To stop a gradient is a means of many methods (targets of another network, straight-through estimates, truncated
    histories): an error is only where the program learns clearly more without.
    """
    with lab.program.kept(seed=0), _Passing() as watch:
        batch_loss(lab, lab.first_batch)
    if not watch.count or lab.answer.form == "unknown":
        return
    own = lab.own
    try:
        other = lab.outcome(Change("gradients pass through detach()", mode=_Passing))
    except RuntimeError:  # a state that is kept from batch to batch has to be cut
        return
    gain = own.gain(other)
    if gain > CLEAR:
        message = (
            f"the gradient is cut {watch.count} times between weights and loss; where it passes the program learns"
            f" {gain:.0%} more of what there is"
        )
        evidence = {"cuts": watch.count, "learned": own.learned(), "learned_without": other.learned()}
        yield Finding("gradient-cut", "error", message, evidence, "leave out detach() and .data within the network")


def untaught(lab: Lab) -> Iterator[Finding]:
    """Weights that move the answer and that no gradient of the answer reaches, though another part of the loss does.

    A nearest code or a greatest score is looked up by its number, and a number has no gradient. What is detached by
    name is looked at in `detached`.
    """
    if lab.answer.form == "unknown" or lab.compares_rows:
        return
    inputs, _ = lab.first_batch
    model = lab.program.model
    names = [(name, p) for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1]

    def answered() -> Tensor:
        torch.manual_seed(0)
        found: Tensor = dict(leaves(lab.outputs(inputs, training=True, grad=True)))[lab.answer.path]
        return found

    with lab.program.kept(seed=0):
        weights = [p for _, p in names]
        reached: set[str] = set()
        for mode in (
            nullcontext,
            _Passing,
        ):  # a straight-through estimate needs what it detaches, others need it let pass
            with mode(), _passing_where_drawn() as cuts:
                answer = answered()
                if not answer.requires_grad or cuts:
                    return
                draw = torch.randn(answer.shape, generator=torch.Generator().manual_seed(0)).to(answer)
                reached |= _with_gradient(names, torch.autograd.grad((answer * draw).sum(), weights, allow_unused=True))
        loss = batch_loss(lab, lab.first_batch)
        held = _with_gradient(names, torch.autograd.grad(loss, weights, allow_unused=True))
        silent = [(name, p) for name, p in names if name in held - reached]
        if not silent or not bool(torch.isfinite(answer).all()):
            return
        with torch.no_grad():
            for _, p in silent:
                p.add_(0.5 * p.std() * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)).to(p))
        moved = difference(answer.detach(), answered().detach())
    if moved > MOVED:
        name = silent[0][0]
        message = (
            f"{len(silent)} weight tensors, {name} among them, move the answer by {moved:.0%} where they change, and no"
            " gradient of the answer reaches them"
        )
        fix = "let it pass what is looked up by a number: z + (code - z).detach(), or a product with the scores"
        evidence = {"weights": [name for name, _ in silent[:10]], "moved": moved}
        yield Finding("gradient-cut", "error", message, evidence, fix)


def _with_gradient(names: Sequence[tuple[str, Tensor]], grads: Sequence[Tensor | None]) -> set[str]:
    return {name for (name, _), grad in zip(names, grads, strict=True) if grad is not None and bool(grad.any())}


class _Passing(torch.overrides.TorchFunctionMode):
    """Lets gradients pass where a tensor that has one is detached, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cuts = func is Tensor.detach or func is Tensor.data.__get__  # type: ignore[attr-defined] # a C property
        if cuts and torch.is_grad_enabled() and args[0].requires_grad and not args[0].is_leaf:
            self.count += 1
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def _passing_where_drawn() -> Iterator[list[str]]:
    """Distributions that can be drawn from with a gradient are, and slopes keep their graph; says what would not."""
    cuts: list[str] = []
    kinds = [kind for kind in _below(torch.distributions.Distribution) if "rsample" in vars(kind) and kind.has_rsample]
    held = [(kind, vars(kind).get("sample")) for kind in kinds]
    slope = torch.autograd.grad

    def sample(self: Any, sample_shape: Any = ()) -> Tensor:
        made: Tensor = self.rsample(torch.Size(sample_shape))
        if made.requires_grad:
            cuts.append(f"{type(self).__name__}.sample()")
        return made

    def grad(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled() and not kwargs.get("create_graph") and len(args) < 5:
            cuts.append("autograd.grad() without create_graph")
            kwargs["create_graph"] = True
        return slope(*args, **kwargs)

    for kind in kinds:
        kind.sample = sample
    torch.autograd.grad = grad
    try:
        yield cuts
    finally:
        torch.autograd.grad = slope
        for kind, own in held:
            if own is None:
                del kind.sample
            else:
                kind.sample = own


def _below(kind: type) -> Iterator[Any]:
    below: type
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)
