"""Which weights learn: held by the optimiser, reached by the gradient, moved by the step, and not all alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..finding import Finding, Severity
from .dependence import spare_optimizer
from .experiment import CLEAR, Change
from .lab import Lab
from .nested import leaves
from .program import without_workers
from .scale import standardiser

__all__ = ["batch_loss", "symmetry", "unregistered", "weights"]


def batch_loss(lab: Lab, batch: tuple[Any, Any]) -> Tensor:
    lab.program.model.train()
    return lab.program.loss(lab.program.outputs(batch[0]), batch[1])


def unregistered(lab: Lab) -> Iterator[Finding]:
    """Leaves of the loss's graph that are trained by nobody: neither the model's parameters nor the optimiser's."""
    program = lab.program
    known = {id(p) for p in program.model.parameters()}
    for part in (program.optimizer, *(held for held in program.held if isinstance(held, torch.optim.Optimizer))):
        known |= {id(p) for group in (part.param_groups if part is not None else ()) for p in group["params"]}
    with program.kept(seed=0):
        batch = lab.first_batch
        given = [t for _, t in leaves(batch)]
        loss = batch_loss(lab, batch)
        # a slope in the inputs, such as a force, is taken at a copy of them
        found = [
            leaf
            for leaf in _graph_leaves(loss)
            if id(leaf) not in known and not any(leaf.shape == t.shape and torch.equal(leaf, t) for t in given)
        ]
    found = [leaf for leaf in found if leaf.numel() > 0]
    if found:
        shapes = [list(leaf.shape) for leaf in found]
        total = sum(leaf.numel() for leaf in found)
        message = (
            f"{total:,} weights in {len(found)} tensors take part in the loss, but are not parameters of the model"
        )
        fix = "keep layers in nn.ModuleList or nn.ModuleDict, tensors in nn.Parameter, and make them in __init__"
        yield Finding("unregistered-parameters", "error", message, {"shapes": shapes[:10], "weights": total}, fix)


def _graph_leaves(loss: Tensor) -> list[Tensor]:
    """Every tensor that gets a gradient from the loss."""
    found, seen, waiting = [], set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        waiting += [parent for parent, _ in node.next_functions]
    return found


def weights(lab: Lab) -> Iterator[Finding]:
    """Parameters that the optimiser does not hold, that get no gradient, or that are frozen as they were drawn."""
    program, model = lab.program, lab.program.model
    named = dict(model.named_parameters())
    if not named:
        yield Finding(
            "unregistered-parameters", "error", "the model has no parameters", {}, "nn.ModuleList, nn.Parameter"
        )
        return
    before = {name: p.detach().clone() for name, p in named.items()}
    with program.kept(seed=0):
        gradient = dict.fromkeys(named, 0.0)
        reached: set[str] = set()
        stepped = _run_steps(lab, gradient, reached)
        changed = {name for name, p in named.items() if not torch.equal(before[name], p.detach())}
    members = None
    if program.optimizer is not None:
        members = {id(p) for group in program.optimizer.param_groups for p in group["params"]}
        members |= {
            id(p)
            for held in program.held
            if isinstance(held, torch.optim.Optimizer)
            for group in held.param_groups
            for p in group["params"]
        }
    yield from _optimizer_members(lab, named, members, changed, reached)
    yield from _cut(lab, named, gradient, reached, changed, members)
    yield from _frozen(lab, named, members, changed)
    if stepped and members and not changed and any(gradient.values()):
        message = "the program's own step changes no weight, though there are gradients"
        yield Finding(
            "stale-gradients", "error", message, {}, "zero_grad() goes before backward(), and step() behind it"
        )


def _run_steps(lab: Lab, gradient: dict[str, float], reached: set[str]) -> bool:
    """A few steps as the program does them, noting the largest gradient of each parameter."""
    program = lab.program
    named = dict(program.model.named_parameters())
    hooks = []
    for name, parameter in named.items():
        if parameter.requires_grad:

            def note(p: Tensor, name: str = name) -> None:
                if p.grad is not None:
                    reached.add(name)
                    values = p.grad.coalesce().values() if p.grad.is_sparse else p.grad
                    gradient[name] = max(gradient[name], float(values.abs().max()) if values.numel() else 0.0)

            hooks.append(parameter.register_post_accumulate_grad_hook(note))
    optimizer = program.optimizer or spare_optimizer(lab)
    try:
        for number, batch in enumerate(program.batches(without_workers(lab.program.train))):
            if number == 8:
                break
            lab.step(batch, optimizer)
    finally:
        for hook in hooks:
            hook.remove()
    return program.train_step is not None


def _optimizer_members(
    lab: Lab, named: dict[str, Any], members: set[int] | None, changed: set[str], reached: set[str]
) -> Iterator[Finding]:
    if members is None:
        return
    wanted = {name for name, p in named.items() if p.requires_grad}
    missing = sorted(name for name in wanted if id(named[name]) not in members and name not in changed)
    missing = [name for name in missing if name in reached]
    if not missing:
        return
    count = sum(named[name].numel() for name in missing)
    evidence = {"parameters": missing[:20], "weights": count, "of": sum(named[name].numel() for name in wanted)}
    message = (
        f"{len(missing)} of {len(wanted)} parameters that get gradients are not in the optimiser, e.g. {missing[0]}"
    )
    if len(missing) == len(wanted):
        message = "the optimiser holds none of the model's parameters: it was made for another model"
        yield Finding(
            "optimizer-missing-parameters", "error", message, evidence, "make it after the model's last change"
        )
        return
    fresh = [name for name in missing if _as_drawn(lab.program.model, name)]
    drawn = sum(named[name].numel() for name in fresh)
    severity: Severity = "error" if 2 * drawn > count or _is_last(lab, missing) else "warning"
    fix = "give the optimiser model.parameters(), or set requires_grad=False where they are meant to rest"
    yield Finding("optimizer-missing-parameters", severity, message, evidence, fix)


def _is_last(lab: Lab, names: list[str]) -> bool:
    """Whether the last layer with weights is among them."""
    with_weights = [n for n, p in lab.program.model.named_parameters() if p.dim() > 1]
    return bool(with_weights) and with_weights[-1] in names


def _as_drawn(model: nn.Module, name: str) -> bool:
    """Whether a weight looks as PyTorch draws it, uniform up to a bound of its fan-in: never trained.

    A uniform sample of n fills its bound to n/(n+1) and has a fourth moment of 1.8 squared variances; trained weights
    have tails. Biases and norms follow their module's weight.
    """
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name) if owner_name else model
    weight = owner._parameters.get("weight") if leaf == "bias" else owner._parameters.get(leaf)
    if weight is None:
        weight = owner._parameters[leaf]
    if weight is None or weight.numel() < 32:
        return False
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag):
        return _is_noise(weight.detach().float())
    values = weight.detach().float().flatten()
    if float(values.std()) == 0:
        return False
    kurtosis = float(((values - values.mean()) / values.std()).pow(4).mean())
    noise = 4 * (24 / len(values)) ** 0.5
    bound = float(values.abs().max())
    filled: bool = abs(bound / float(values.std()) - 3**0.5) < 0.12
    flat: bool = abs(kurtosis - 1.8) < max(0.05, noise / 4)
    return filled and flat


def _is_noise(table: Tensor) -> bool:
    """Whether a table of vectors is independent normal numbers: what is learned has directions that stand out.

    The largest singular value of m x n such numbers of spread s is near s (sqrt(m) + sqrt(n)) (Marchenko and Pastur,
    1967; its fluctuations are of the order of s m^(-1/6)).
    """
    rows, columns = table.shape
    spread = float(table.std())
    if spread == 0 or min(rows, columns) < 4 or table.numel() < 500:
        return False
    kurtosis = float(((table - table.mean()) / spread).pow(4).mean())
    largest = float(torch.linalg.matrix_norm(table, 2)) / spread
    edge = rows**0.5 + columns**0.5
    normal = abs(kurtosis - 3) < 4 * (24 / table.numel()) ** 0.5
    return bool(normal and largest < edge + 3 * max(rows, columns) ** (-1 / 6))


def _cut(
    lab: Lab,
    named: dict[str, Any],
    gradient: dict[str, float],
    reached: set[str],
    changed: set[str],
    members: set[int] | None,
) -> Iterator[Finding]:
    """Parameters without a gradient that nevertheless move the loss: something between them cuts it."""
    silent = [
        n for n, p in named.items() if p.requires_grad and gradient[n] == 0 and (n not in changed or n not in reached)
    ]
    if not silent or lab.loss_is_flat:
        return
    cut = []
    with lab.program.kept(seed=0):
        batches = [lab.first_batch]
        base = _probe(lab, batches)
        for name in silent[:24]:
            parameter = named[name]
            if name in changed and not any(id(parameter) == m for m in members or ()):
                continue  # moved by something else than the optimiser, such as a moving average
            kept = parameter.detach().clone()
            with torch.no_grad():
                scale = parameter.std() if parameter.numel() > 1 else parameter.abs().max()
                generator = torch.Generator().manual_seed(0)
                noise = torch.randn(parameter.shape, generator=generator).to(parameter)
                parameter.add_(noise * scale.clamp(min=0.1))
            moved = abs(_probe(lab, batches) - base)
            with torch.no_grad():
                parameter.copy_(kept)
            if moved > 1e-5 * max(1e-3, abs(base)):
                cut.append(name)
    if reached.issuperset(cut) and _reached_by_small_inputs(lab, cut):
        return  # no cut: what is flat for inputs of this size is not for smaller ones
    if cut:
        message = f"{len(cut)} parameters move the loss but get no gradient, e.g. {cut[0]}"
        fix = "look for detach(), .data, no_grad(), argmax, round or numpy between them and the loss"
        yield Finding("gradient-cut", "error", message, {"parameters": cut}, fix)


def _reached_by_small_inputs(lab: Lab, names: list[str]) -> bool:
    """Whether every parameter has a gradient where the inputs are standardised, so that nothing is saturated."""
    inputs, targets = lab.first_batch
    named = dict(lab.program.model.named_parameters())
    with lab.program.kept(seed=0):
        lab.program.model.zero_grad(set_to_none=True)
        batch_loss(lab, (standardiser(inputs)(inputs), targets)).backward()
        grads = [named[name].grad for name in names]
        return all(grad is not None and bool(grad.any()) for grad in grads)


@torch.no_grad()
def _probe(lab: Lab, batches: list[tuple[Any, Any]]) -> float:
    torch.manual_seed(0)
    return float(sum(batch_loss(lab, batch) for batch in batches))


def _frozen(lab: Lab, named: dict[str, Any], members: set[int] | None, changed: set[str]) -> Iterator[Finding]:
    # What moves although it has no gradient is kept otherwise, such as a moving average of weights.
    frozen = [n for n, p in named.items() if not p.requires_grad and p.dim() > 1 and n not in changed]
    if not frozen:
        return
    drawn = [n for n in frozen if _as_drawn(lab.program.model, n)]
    held = [n for n in frozen if members is not None and id(named[n]) in members]
    evidence: dict[str, Any] = {"parameters": frozen[:20], "as_drawn": drawn[:20], "in_optimizer": held[:20]}
    learn = [n for n, p in named.items() if p.requires_grad]
    if not learn:
        yield Finding(
            "frozen-parameters", "error", "every parameter is frozen: nothing learns", evidence, "requires_grad=True"
        )
    elif _is_last(lab, frozen) and _as_drawn(lab.program.model, frozen[-1]):
        yield Finding(
            "frozen-parameters",
            "error",
            f"the last layer is frozen as it was drawn: {frozen[-1]}",
            evidence,
            "train it",
        )
    elif drawn:
        message = f"{len(drawn)} weight matrices are frozen as they were drawn, never trained, e.g. {drawn[0]}"
        fix = "load trained weights before freezing, or train them"
        # Random features may be meant (Rahimi and Recht, 2007): where nearly all is learned they do no harm.
        evidence["learned"] = lab.own.learned()
        severity: Severity = "warning"
        if lab.own.learned() <= 0.85:
            evidence["gain_where_trained"] = lab.own.gain(lab.outcome(_freed(lab, [named[name] for name in drawn])))
            severity = "error" if evidence["gain_where_trained"] > CLEAR else "warning"
        yield Finding("frozen-parameters", severity, message, evidence, fix)
    else:
        note = f"{len(frozen)} weight matrices are frozen"
        yield Finding("frozen-parameters", "note", note, evidence)


def _freed(lab: Lab, frozen: list[nn.Parameter]) -> Change:
    """The same training with parameters that were frozen."""
    optimizer = lab.program.optimizer

    def free(_: nn.Module) -> None:
        for parameter in frozen:
            parameter.requires_grad_(True)
        held = {id(p) for group in (optimizer.param_groups if optimizer is not None else ()) for p in group["params"]}
        if optimizer is not None and (missing := [p for p in frozen if id(p) not in held]):
            optimizer.add_param_group({"params": missing})

    return Change("what is frozen is trained", prepare=free)


def symmetry(lab: Lab) -> Iterator[Finding]:
    """Units of a hidden layer that begin equal and stay equal however long they are trained."""
    model = lab.program.model
    matrices = {n: p for n, p in model.named_parameters() if p.dim() > 1 and p.shape[0] >= 2 and p.requires_grad}
    same = [n for n, p in matrices.items() if _rows_equal(p) and p.shape[0] >= 2 and _is_trained(lab, p)]
    if not same:
        return
    constant = {n for n in same if bool(matrices[n].any())}
    with lab.program.kept(seed=0):
        optimizer = lab.program.optimizer or spare_optimizer(lab)
        for number, batch in enumerate(lab.program.batches(without_workers(lab.program.train))):
            if number == 6:
                break
            lab.step(batch, optimizer)
        stays = [n for n in same if _rows_equal(matrices[n])]
    last = [n for n, p in model.named_parameters() if p.dim() > 1][-1:]
    stays = [n for n in stays if n not in last] or (stays if len(stays) == len(matrices) else [])
    if not stays:  # dropout may part units that are equal: a constant hidden layer still begins as one unit
        stays = [n for n in same if n in constant and n not in last]
    if stays:
        message = f"all units of {stays[0]} have the same weights and stay the same: the layer is one unit wide"
        yield Finding(
            "constant-init", "error", message, {"parameters": stays}, "draw weights at random, e.g. reset_parameters()"
        )


def _is_trained(lab: Lab, parameter: Tensor) -> bool:
    """Whether the program's optimiser holds it; one that does not stays as it is, which is another finding."""
    optimizer = lab.program.optimizer
    return optimizer is None or any(parameter is own for group in optimizer.param_groups for own in group["params"])


def _rows_equal(parameter: Tensor) -> bool:
    flat = parameter.detach().reshape(len(parameter), -1)
    spread = (flat - flat[:1]).abs().max()
    return bool(spread <= 1e-6 * flat.abs().max().clamp(min=1e-12))
