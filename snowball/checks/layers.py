"""What layers make of their inputs: a bend between any two, and units that are alive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..finding import Finding, Severity
from .dependence import SAME, STEPS, difference, eval_outputs, plain_step
from .experiment import Change
from .lab import Lab
from .learning import batch_loss
from .nested import leaves, mapped, row_count, rows_of
from .program import without_workers
from .scale import standardiser

__all__ = ["dead_units", "nonlinearity", "silent_units"]

UNITS = 4  # at least, in a layer of which units are compared
BEND = 0.03  # of all there is to learn, beside the direct evidence that two layers are one


def nonlinearity(lab: Lab) -> Iterator[Finding]:
    """A network of several layers whose outputs are an affine function of its inputs is one layer."""
    model = lab.program.model
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]
    if len(layers) < 2:
        return
    yield from _linear_chain(lab)
    inputs, _ = lab.batch
    floats = [t for _, t in leaves(inputs) if t.is_floating_point()]
    if not floats or any(not t.is_floating_point() for _, t in leaves(inputs) if t.dim() > 0):
        return
    count = row_count(inputs)
    if count < 3:
        return
    roll = torch.arange(count, device=lab.program.device).roll(1)
    with lab.program.kept(seed=0):
        with torch.no_grad():  # other weights: a branch that begins at zero bends nothing yet
            for weight in model.parameters():
                if weight.is_floating_point():
                    size = max(float(weight.abs().mean()), 0.1 / weight.numel() ** 0.25)
                    weight.add_(torch.randn_like(weight) * size)
        standard = standardiser(lab.train.inputs)(inputs)  # where inputs are tiny, no bend is in reach
        stretched, other = (mapped(t, lambda t: 3 * t) for t in (standard, rows_of(standard, roll)))
        try:
            one, two = eval_outputs(lab, stretched), eval_outputs(lab, other)
        except IndexError:  # it looks some of the numbers up
            return
        mixed = eval_outputs(lab, _mix(stretched, other, 0.3))
        beside = _beside_one_another(lab, layers, stretched, other)
    if beside:  # a sum of linear maps, such as one of a trend and one of the rest, is meant to be linear
        return
    for first, second, between in zip(one, two, mixed, strict=True):
        if first.shape != between.shape:
            return
        size = float((first - second).abs().max())
        if not size > SAME * float(first.abs().max()):
            return  # both rows are answered alike, or with what is no number: nothing says how
        off = float((between - (0.3 * first + 0.7 * second)).abs().max()) / size
        if off > 1e-3:
            return
    widths = _bottlenecks(layers)
    message = f"the network's {len(layers)} layers together are one linear map: there is no nonlinearity between them"
    severity: Severity = "warning" if widths else "error"
    yield Finding("no-nonlinearity", severity, message, {"layers": len(layers)}, "put an activation between the layers")


def _beside_one_another(lab: Lab, layers: Sequence[nn.Module], one: Any, two: Any) -> bool:
    """No layer is fed by another: outputs grow with all weights as a straight line, and stacked layers' as a power."""
    apart = []
    for scale in (1.0, 2.0, 1.5):  # each of the last
        with torch.no_grad():
            for layer in layers:
                assert isinstance(layer.weight, Tensor)
                layer.weight.mul_(scale)
        pairs = zip(eval_outputs(lab, one), eval_outputs(lab, two), strict=True)
        apart.append(torch.cat([(first - second).flatten() for first, second in pairs]))
    bend = apart[2] - 2 * apart[1] + apart[0]  # at 1, 2 and 3 times
    return float(bend.abs().max()) < SAME * float(apart[2].abs().max())


def _mix(one: Any, two: Any, share: float) -> Any:
    found = iter([t for _, t in leaves(two)])
    return mapped(one, lambda t: share * t + (1 - share) * next(found))


def _bottlenecks(layers: Sequence[nn.Module]) -> bool:
    """A linear layer narrower than both its ends lowers the rank, which may be meant (an autoencoder, factors)."""
    linear = [m for m in layers if isinstance(m, nn.Linear)]
    pairs = itertools.pairwise(linear)
    return any(a.out_features < min(a.in_features, b.out_features) for a, b in pairs)


def _linear_chain(lab: Lab) -> Iterator[Finding]:
    """Two layers in a row, the second fed with the first's very output, where no narrow waist explains it."""
    makers: dict[int, tuple[str | None, int]] = {}
    held: list[Tensor] = []
    found: list[tuple[str, str]] = []
    names = {module: name for name, module in lab.program.model.named_modules()}
    passing = (nn.Dropout, nn.Identity, nn.Flatten, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)

    def wide(one: nn.Module, two: nn.Module) -> bool:
        if isinstance(one, nn.Linear) and isinstance(two, nn.Linear):
            return one.out_features >= min(one.in_features, two.out_features)
        if isinstance(one, nn.modules.conv._ConvNd) and isinstance(two, nn.modules.conv._ConvNd):
            kernels = max(one.kernel_size) > 1 and max(two.kernel_size) > 1
            return kernels and one.groups == 1 and two.groups == 1
        return False

    def after(module: nn.Module, given: Any, output: Any) -> None:
        source = given[0] if given and isinstance(given[0], Tensor) else None
        if not isinstance(output, Tensor) or source is None:
            return
        before, version = makers.get(id(source), (None, 0))
        if source._version != version:  # changed in place since, as by nn.ReLU(inplace=True)
            before = None
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            if before is not None and wide(lab.program.model.get_submodule(before), module):
                found.append((before, names[module]))
            makers[id(output)] = names[module], output._version
        elif isinstance(module, passing) and before is not None:
            makers[id(output)] = before, output._version
        held.append(output)  # kept alive, so that no other tensor takes its number

    hooks = [module.register_forward_hook(after) for module in lab.program.model.modules()]
    try:
        with lab.program.kept(seed=0):
            lab.outputs(lab.batch[0])
    finally:
        for hook in hooks:
            hook.remove()
    pairs = [pair for pair in dict.fromkeys(found) if _only_reader(lab, *pair)]
    if pairs:
        gain = lab.own.gain(lab.outcome(_bent(lab, pairs)))
        evidence = {"layers": [list(pair) for pair in pairs], "gain_with_relu": gain}
        message = (
            f"{pairs[0][1]} is fed with what {pairs[0][0]} gives, with no nonlinearity between: they are one layer"
        )
        # One layer in two is waste; it is a bug where the bend is missed.
        harm = gain > BEND
        message += f"; with a ReLU between the program learns {gain:.0%} more" if harm else ""
        severity: Severity = "error" if harm else "warning"
        yield Finding("no-nonlinearity", severity, message, evidence, "put an activation between")


def _bent(lab: Lab, pairs: list[tuple[str, str]]) -> Change:
    """A ReLU before the second layer of each pair."""

    @contextmanager
    def bent() -> Iterator[None]:
        seconds = [lab.program.model.get_submodule(second) for _, second in pairs]
        hooks = [m.register_forward_pre_hook(lambda _, given: tuple(map(torch.relu, given))) for m in seconds]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    return Change("a ReLU between layers", mode=bent)


def _only_reader(lab: Lab, first: str, second: str) -> bool:
    """Whether what the first layer gives reaches the outputs through the second alone: no shortcut passes it by."""
    model = lab.program.model
    one, two = model.get_submodule(first), model.get_submodule(second)
    hook = two.register_forward_pre_hook(lambda _, given: tuple(torch.zeros_like(part) for part in given))
    try:
        with lab.program.kept(seed=0):
            before = eval_outputs(lab, lab.batch[0])
            with torch.no_grad():
                for weight in one.parameters():
                    weight.mul_(1.5)
            after = eval_outputs(lab, lab.batch[0])
    finally:
        hook.remove()
    return max((difference(a, b) for a, b in zip(before, after, strict=True)), default=0.0) < SAME


def silent_units(lab: Lab) -> Iterator[Finding]:
    """Units whose activation cuts off below 0 and that are 0 for every row before training."""
    watch = _ReluWatch()
    with lab.program.kept(seed=0):
        for number, batch in enumerate(lab.program.batches(without_workers(lab.program.train))):
            if number == 4:
                break
            with watch:
                lab.outputs(batch[0])
            watch.place = 0
    shares = [float((~alive).float().mean()) for alive in watch.alive if alive.numel() >= UNITS]
    if shares and max(shares) >= 0.9:
        place = shares.index(max(shares)) + 1
        message = f"{max(shares):.0%} of the units of activation {place} are 0 for every row before training"
        fix = "begin biases at 0 and draw smaller weights, or use a leaky activation"
        yield Finding("dead-units", "error", message, {"shares": [round(share, 3) for share in shares]}, fix)


class _ReluWatch(torch.overrides.TorchFunctionMode):
    """Notes which units of each call of relu are above 0 for some row; calls are told apart by their order."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Tensor] = []
        self.place = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("relu", "relu_", "clamp_min") and isinstance(found, Tensor) and found.dim() > 1:
            dims = [0, *range(2, found.dim())] if found.dim() != 3 else [0, 1]
            try:
                alive = torch.tensor(((found > 0).sum(dims) > 0).tolist())
            except RuntimeError:  # within torch.func there are no numbers to have
                return found
            if self.place == len(self.alive):
                self.alive.append(alive)
            elif self.alive[self.place].shape == alive.shape:
                self.alive[self.place] |= alive
            self.place += 1
        return found


def dead_units(lab: Lab) -> Iterator[Finding]:
    """Units whose weights never get a gradient from any row, though the layer's others may.

    A layer that the loss does not hang on at all, such as the last of a stack whose result is thrown away, is not dead.
    """
    program = lab.program
    rows = {n: torch.zeros(len(p)) for n, p in program.model.named_parameters() if _is_layer_weight(program.model, n)}
    if not rows:
        return
    named, used = dict(program.model.named_parameters()), set[str]()
    with program.kept(seed=0):
        for _ in range(STEPS):
            plain_step(lab)
        for number, batch in enumerate(program.batches(without_workers(lab.program.train))):
            if number == 6:
                break
            program.model.zero_grad(set_to_none=True)
            batch_loss(lab, batch).backward()
            for name in rows:
                grad = named[name].grad
                if grad is not None:
                    used.add(name)
                    rows[name] += grad.detach().to_dense().reshape(len(grad), -1).abs().sum(1).cpu()
    dead = {n: float((rows[n] == 0).float().mean()) for n in rows if n in used}
    last = [n for n, p in program.model.named_parameters() if p.dim() > 1][-1:]
    bad = {n: share for n, share in dead.items() if share >= 0.5 and n not in last and rows[n].numel() >= UNITS}
    alive = any(total.any() for total in rows.values())
    if (bad and alive) or (bad and not alive):
        name = max(bad, key=lambda n: bad[n])
        message = f"{bad[name]:.0%} of the units of {name} get no gradient from any of the rows: they are dead"
        fix = "lower the learning rate or the negative bias, draw smaller weights, or use a leaky activation"
        severity: Severity = "error" if bad[name] >= 0.8 else "warning"
        yield Finding("dead-units", severity, message, {"share": {n: round(s, 3) for n, s in bad.items()}}, fix)


def _is_layer_weight(model: nn.Module, name: str) -> bool:
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name) if owner_name else model
    return leaf == "weight" and isinstance(owner, nn.Linear | nn.modules.conv._ConvNd)
