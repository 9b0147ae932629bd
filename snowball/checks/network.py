"""Checks of the network: which output depends on which input, and which weights learn.

Each is a differential test: one thing is replaced, and what must not move, or must move, is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..finding import Finding
from .lab import Lab
from .nested import leaves, mapped, row_count, rows_of
from .program import call

__all__ = ["CHECKS"]

SAME = 1e-4  # of an output's largest value: rounding in another order stays at 1e-6, a leak is far above
STEPS = 3  # after which a layer that begins at zero has a gradient below it
UNITS = 4  # at least, in a layer of which units are compared


def _eval_outputs(lab: Lab, inputs: Any) -> list[Tensor]:
    """Outputs with rows, in evaluation mode, from one random state so that noise is the same each time."""
    torch.manual_seed(0)
    outputs = lab.outputs(inputs)
    return [tensor.float() for _, tensor in leaves(outputs) if tensor.is_floating_point() and tensor.dim() > 0]


def _is_random(lab: Lab) -> bool:
    """Whether the same input gives other outputs each time in evaluation mode, see `eval_mode`."""
    if "_random" not in lab.__dict__:
        with lab.program.kept(seed=0):
            first, second = lab.outputs(lab.batch[0]), lab.outputs(lab.batch[0])
        pairs = zip(leaves(first), leaves(second), strict=True)
        lab.__dict__["_random"] = any(_moved(a, b) > SAME for (_, a), (_, b) in pairs if a.is_floating_point())
    return bool(lab.__dict__["_random"])


def _moved(before: Tensor, after: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    if not before.numel() or before.shape != after.shape:
        return 0.0
    return float((before - after).abs().max() / before.abs().max().clamp(min=1e-6))


def _by_row(tensor: Tensor, count: int) -> Tensor | None:
    """(B, ...): outputs that hold several answers a row, flattened, are put back in rows."""
    if tensor.shape[0] == count:
        return tensor
    return tensor.reshape(count, -1) if tensor.shape[0] and tensor.shape[0] % count == 0 else None


def eval_mode(lab: Lab) -> Iterator[Finding]:
    """The same input twice in evaluation mode gives the same; and a training step runs in training mode."""
    program, (inputs, _) = lab.program, lab.batch
    with program.kept(seed=0):
        first, second = lab.outputs(inputs), lab.outputs(inputs)
        names = [name for name, t in leaves(first) if t.is_floating_point()]
        pairs = zip(
            names,
            [t for _, t in leaves(first) if t.is_floating_point()],
            [t for _, t in leaves(second) if t.is_floating_point()],
            strict=True,
        )
        moved = max((_moved(a, b) for _, a, b in pairs), default=0.0)
        if moved <= SAME:
            return
        watch = _DropoutWatch()
        with watch:
            lab.outputs(inputs)
    evidence = {"moved": moved, "dropout": watch.active}
    message = f"in evaluation mode the same input gives other outputs each time: they move by {moved:.2g}"
    if watch.active:
        yield Finding("eval-mode", "error", f"{message}; dropout is active", evidence, "F.dropout(x, p, self.training)")
    else:
        yield Finding("eval-mode", "warning", message, evidence, "draw random numbers in training mode alone")


class _DropoutWatch(torch.overrides.TorchFunctionMode):
    """Counts calls of dropout that drop."""

    def __init__(self) -> None:
        super().__init__()
        self.active = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "dropout" in getattr(func, "__name__", ""):
            given = dict(zip(("input", "p", "training"), args, strict=False)) | dict(kwargs or {})
            self.active += int(bool(given.get("training", True)) and float(given.get("p", 0.5)) > 0)
        return func(*args, **(kwargs or {}))


def batch_mixing(lab: Lab) -> Iterator[Finding]:
    """In evaluation mode a row's outputs stay when all other rows are replaced."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    if count < 3 or _is_random(lab) or lab.compares_rows:
        return
    row = count // 2
    others = torch.full((count,), row - 1, device=lab.program.device)
    others[row] = row
    with lab.program.kept(seed=0):
        before, after = _eval_outputs(lab, inputs), _eval_outputs(lab, rows_of(inputs, others))
        alone = _eval_outputs(lab, rows_of(inputs, slice(row, row + 1)))
        again = _eval_outputs(lab, inputs)
    for number, (one, other, twice) in enumerate(zip(before, after, again, strict=True)):
        first, second, third = _by_row(one, count), _by_row(other, count), _by_row(twice, count)
        if first is None or second is None or third is None or _moved(first, third) > SAME:
            continue
        moved = _moved(first[row], second[row])
        if len(alone) == len(before) and (single := _by_row(alone[number], 1)) is not None:
            moved = max(moved, _moved(first[row], single[0]) if single[0].shape == first[row].shape else 0.0)
        if moved > SAME:
            message = (
                f"in evaluation mode a row's outputs depend on the other rows of its batch: they move by {moved:.2g}"
            )
            fix = "look for a view, a softmax or a normalisation over the rows, or an axis taken for another"
            yield Finding("batch-mixing", "error", message, {"moved": moved, "row": row}, fix)
            return


def input_ignored(lab: Lab) -> Iterator[Finding]:
    """A row's outputs move when its own inputs are replaced by another row's, each input by itself."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    if count < 2 or _is_random(lab):
        return
    swapped = torch.arange(count, device=lab.program.device).roll(1)
    parts = [(name, t) for name, t in leaves(inputs) if t.dim() > 0 and len(t) == count]
    with lab.program.kept(seed=0):
        for _ in range(STEPS):  # a last layer that begins at zero answers the same for all
            _plain_step(lab)
        before = _eval_outputs(lab, inputs)
        for name, tensor in parts:
            if not tensor.numel() or bool((tensor == tensor[:1]).all()) or _is_mask_or_length(tensor, parts):
                continue
            changed = _with_leaf(inputs, name, tensor[swapped])
            try:
                after = _eval_outputs(lab, changed)
            except (RuntimeError, IndexError, ValueError):  # parts that belong together, such as a text and its length
                continue
            if max((_moved(a, b) for a, b in zip(before, after, strict=True)), default=0.0) < 1e-9:
                what = f"input {name!r}" if name else "the input"
                yield Finding(
                    "input-ignored",
                    "error",
                    f"the outputs do not depend on {what}",
                    {"input": name},
                    "use it, or leave it out",
                )


def hidden_words(lab: Lab) -> Iterator[Finding]:
    """The words of a row, other than its padding, move its outputs: each is replaced by one of another row."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    padded = [
        (n, t)
        for n, t in leaves(inputs)
        if t.dim() == 2 and len(t) == count and not t.is_floating_point() and _padding(t) is not None
    ]
    if len(padded) != 1 or _is_random(lab):
        return
    name, tensor = padded[0]
    value = _padding(tensor)
    inside = tensor != value
    changed = tensor.clone()
    changed[inside] = tensor[inside].roll(7)
    with lab.program.kept(seed=0):
        for _ in range(STEPS):
            _plain_step(lab)
        before, after = _eval_outputs(lab, inputs), _eval_outputs(lab, _with_leaf(inputs, name, changed))
    if max((_moved(a, b) for a, b in zip(before, after, strict=True)), default=1.0) < 1e-9:
        message = f"the outputs do not depend on the words of input {name!r}, only on its padding"
        yield Finding(
            "input-ignored",
            "error",
            message,
            {"input": name},
            "a mask marks what is left out in one place, what counts in another",
        )


def silent_units(lab: Lab) -> Iterator[Finding]:
    """Units whose activation cuts off below 0 and that are 0 for every row before training."""
    watch = _ReluWatch()
    with lab.program.kept(seed=0):
        for number, batch in enumerate(lab.program.batches(_no_workers(lab))):
            if number == 4:
                break
            with watch:
                lab.outputs(batch[0])
            watch.place = 0
    shares = [float((~alive).float().mean()) for alive in watch.alive if alive.numel() >= UNITS]
    if shares and max(shares) >= 0.9:
        message = f"{max(shares):.0%} of the units of activation {shares.index(max(shares)) + 1} are 0 for every row before training"
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
            alive = (found > 0).sum(dims) > 0
            if self.place == len(self.alive):
                self.alive.append(alive)
            elif self.alive[self.place].shape == alive.shape:
                self.alive[self.place] |= alive
            self.place += 1
        return found


def _is_mask_or_length(tensor: Tensor, parts: list[tuple[str, Tensor]]) -> bool:
    """What stands beside another input and says only how much of it counts."""
    return len(parts) > 1 and (tensor.dtype == torch.bool or (not tensor.is_floating_point() and tensor.dim() == 1))


def _with_leaf(value: Any, path: str, tensor: Tensor) -> Any:
    found = iter([name for name, _ in leaves(value)])
    return mapped(value, lambda old: tensor if next(found) == path else old)


def _plain_step(lab: Lab, batch: tuple[Any, Any] | None = None) -> None:
    """Forward, backward and the program's optimiser (Adam where it has none), without its own step."""
    program = lab.program
    optimizer = program.optimizer or _spare_optimizer(lab)
    lab.step(batch or lab.first_batch, optimizer, plain=True)


def _spare_optimizer(lab: Lab) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in lab.program.model.parameters() if p.requires_grad], 1e-2)


def time_leak(lab: Lab) -> Iterator[Finding]:
    """Where `causal` is promised, what comes later is replaced: outputs before must stay."""
    if not lab.program.causal or _is_random(lab):
        return
    inputs, targets = lab.batch
    count = row_count(inputs)
    lengths = [t.shape[1] for _, t in leaves(inputs) if t.dim() > 1 and len(t) == count]
    length = max(lengths, default=0)
    if length < 3:
        return
    at = length // 2

    def later(tensor: Tensor) -> Tensor:
        if tensor.dim() < 2 or tensor.shape[1] != length or len(tensor) != count:
            return tensor
        return torch.cat([tensor[:, :at], tensor[:, at:].roll(1, 0)], 1)

    with lab.program.kept(seed=0):
        before, after = _eval_outputs(lab, inputs), _eval_outputs(lab, mapped(inputs, later))
    for one, other in zip(before, after, strict=True):
        first, second = _in_time(one, count, length), _in_time(other, count, length)
        if first is None or second is None:
            continue
        moved = _moved(first[:, :at], second[:, :at])
        if moved > SAME:
            message = f"outputs before position {at} depend on inputs after it: they move by {moved:.2g}"
            yield Finding("time-leak", "error", message, {"position": at, "moved": moved}, "mask what comes later")
            return
    same = [t for _, t in leaves(targets)]
    given = [t for _, t in leaves(inputs) if t.dim() > 1]
    if len(same) == 1 and same[0].dim() == 2 and given and given[0].shape == same[0].shape:
        share = float((given[0] == same[0]).float().mean())
        if share > 0.999:
            message = "each target is the input of its own position: the network is shown what it is asked for"
            yield Finding(
                "target-leak", "error", message, {"share": share}, "targets are the inputs one position later"
            )


def _in_time(tensor: Tensor, count: int, length: int) -> Tensor | None:
    if tensor.dim() >= 2 and tensor.shape[0] == count and tensor.shape[1] == length:
        return tensor
    if tensor.dim() >= 3 and tensor.shape[0] == count and tensor.shape[2] == length:
        return tensor.movedim(2, 1)
    if tensor.shape[0] == count * length:
        return tensor.reshape(count, length, -1)
    return None


def padding_leak(lab: Lab) -> Iterator[Finding]:
    """Rows that end in padding: the same rows with more of it must be answered the same."""
    inputs, targets = lab.batch
    count = row_count(inputs)
    answer = lab.answer
    if not answer.one_a_row or answer.form == "unknown" or _is_random(lab):
        return
    padded = [(name, t) for name, t in leaves(inputs) if t.dim() >= 2 and len(t) == count and _padding(t) is not None]
    if len(padded) != 1:
        return
    name, tensor = padded[0]
    value = _padding(tensor)
    widths = {t.shape[1] for batch in _some_batches(lab) for n, t in leaves(batch) if n == name}
    lengths = _lengths(tensor, value)
    row = int(lengths.argmin())
    keep = max(1, int(lengths[row]))
    if keep >= tensor.shape[1]:
        return

    def cut(part: Tensor) -> Tensor:
        return part[:, :keep] if part.dim() >= 2 and part.shape[1] == tensor.shape[1] else part

    one = rows_of(inputs, slice(row, row + 1))
    with lab.program.kept(seed=0):
        for _ in range(STEPS):
            _plain_step(lab)
        within = _eval_outputs(lab, inputs)
        try:
            alone = _eval_outputs(lab, mapped(one, cut))
        except (RuntimeError, IndexError, ValueError):
            return
    for full, trimmed in zip(within, alone, strict=True):
        if full.shape[0] != count or trimmed.shape[0] != 1 or full.shape[1:] != trimmed.shape[1:]:
            continue
        moved = _moved(full[row], trimmed[0])
        spread = float((full.max(0).values - full.min(0).values).abs().max())
        share = float((full[row] - trimmed[0]).abs().max()) / max(spread, 1e-9)
        if moved > SAME:
            varies = len(widths) > 1
            message = f"padding changes the answer of the row it follows: outputs move by {moved:.2g}"
            message += (
                ", and batches are padded to other widths, so that the answer depends on the batch" if varies else ""
            )
            evidence = {
                "moved": moved,
                "share_of_spread": share,
                "length": keep,
                "width": tensor.shape[1],
                "widths": sorted(widths)[:8],
            }
            severity = "error" if varies or share > 0.5 else "warning"
            yield Finding("padding-leak", severity, message, evidence, "mask the padding, or pack the sequences")
            return


def _some_batches(lab: Lab) -> Iterator[Any]:
    with lab.program.kept(seed=0):
        for number, (inputs, _) in enumerate(lab.program.batches(lab.program.train)):
            if number == 8:
                return
            yield inputs


def _padding(tensor: Tensor) -> float | None:
    """The value with which rows end, where rows end with 0 or one token at different lengths; else None."""
    if tensor.dtype == torch.bool:
        return None
    if tensor.is_floating_point() and (tensor.dim() != 3):
        return None  # (B, D) are features, (B, C, H, W) pictures
    flat = tensor.reshape(*tensor.shape[:2], -1)
    last = flat[:, -1, 0]
    values, counts = last.unique(return_counts=True)
    value = float(values[counts.argmax()])
    if tensor.is_floating_point() and value != 0:
        return None
    lengths = _lengths(tensor, value)
    padded = lengths < tensor.shape[1]
    if float(padded.float().mean()) < 0.3 or len(lengths[padded].unique()) < 3:
        return None
    inside = torch.cat([flat[row, : max(0, int(length) - 1), 0] for row, length in enumerate(lengths)])
    if tensor.is_floating_point():
        return value
    return value if float((inside == value).float().mean()) < 0.02 else None


def _lengths(tensor: Tensor, value: float | None) -> Tensor:
    """(B,): where the padding of each row begins."""
    flat = tensor.reshape(*tensor.shape[:2], -1)
    kept = (flat != value).any(2)
    places = torch.arange(1, tensor.shape[1] + 1, device=tensor.device)
    return (kept * places).amax(1)


# --- which weights learn --------------------------------------------------------------------------------------------


def _loss(lab: Lab, batch: tuple[Any, Any]) -> Tensor:
    lab.program.model.train()
    return lab.program.loss(call(lab.program.model, batch[0]), batch[1])


def unregistered(lab: Lab) -> Iterator[Finding]:
    """Leaves of the loss's graph that are trained by nobody: neither the model's parameters nor the optimiser's."""
    program = lab.program
    known = {id(p) for p in program.model.parameters()}
    for part in (program.optimizer, *(held for held in program.held if isinstance(held, torch.optim.Optimizer))):
        known |= {id(p) for group in (part.param_groups if part is not None else ()) for p in group["params"]}
    with program.kept(seed=0):
        batch = lab.first_batch
        given = {id(t) for _, t in leaves(batch)}
        loss = _loss(lab, batch)
        found = [leaf for leaf in _graph_leaves(loss) if id(leaf) not in known and id(leaf) not in given]
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
        gradient = {name: 0.0 for name in named}
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
                    gradient[name] = max(gradient[name], float(p.grad.abs().max()))

            hooks.append(parameter.register_post_accumulate_grad_hook(note))
    optimizer = program.optimizer or _spare_optimizer(lab)
    try:
        for number, batch in enumerate(program.batches(_no_workers(lab))):
            if number == 8:
                break
            lab.step(batch, optimizer)
    finally:
        for hook in hooks:
            hook.remove()
    return program.train_step is not None


def _no_workers(lab: Lab) -> Any:
    from .program import without_workers

    return without_workers(lab.program.train)


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
    severity = "error" if len(fresh) * 2 > len(missing) or _is_last(lab, missing) else "warning"
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
    values = weight.detach().float().flatten()
    if float(values.std()) == 0:
        return False
    kurtosis = float(((values - values.mean()) / values.std()).pow(4).mean())
    noise = 4 * (24 / len(values)) ** 0.5
    if isinstance(owner, nn.Embedding):
        return abs(float(values.std()) - 1) < 4 / len(values) ** 0.5 and abs(kurtosis - 3) < noise
    bound = float(values.abs().max())
    filled = abs(kurtosis - 1.8) < max(0.05, noise / 4) and abs(bound / float(values.std()) - 3**0.5) < 0.12
    return filled


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
    if cut:
        message = f"{len(cut)} parameters move the loss but get no gradient, e.g. {cut[0]}"
        fix = "look for detach(), .data, no_grad(), argmax, round or numpy between them and the loss"
        yield Finding("gradient-cut", "error", message, {"parameters": cut}, fix)


@torch.no_grad()
def _probe(lab: Lab, batches: list[tuple[Any, Any]]) -> float:
    torch.manual_seed(0)
    return float(sum(_loss(lab, batch) for batch in batches))


def _frozen(lab: Lab, named: dict[str, Any], members: set[int] | None, changed: set[str]) -> Iterator[Finding]:
    # What moves although it has no gradient is kept otherwise, such as a moving average of weights.
    frozen = [n for n, p in named.items() if not p.requires_grad and p.dim() > 1 and n not in changed]
    if not frozen:
        return
    drawn = [n for n in frozen if _as_drawn(lab.program.model, n)]
    held = [n for n in frozen if members is not None and id(named[n]) in members]
    evidence = {"parameters": frozen[:20], "as_drawn": drawn[:20], "in_optimizer": held[:20]}
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
        yield Finding(
            "frozen-parameters", "error", message, evidence, "load trained weights before freezing, or train them"
        )
    else:
        note = f"{len(frozen)} weight matrices are frozen"
        yield Finding("frozen-parameters", "note", note, evidence)


def symmetry(lab: Lab) -> Iterator[Finding]:
    """Units of a hidden layer that begin equal and stay equal however long they are trained."""
    model = lab.program.model
    matrices = {n: p for n, p in model.named_parameters() if p.dim() > 1 and p.shape[0] >= 2 and p.requires_grad}
    same = [n for n, p in matrices.items() if _rows_equal(p) and p.shape[0] >= 2]
    if not same:
        return
    constant = {n for n in same if float(matrices[n].abs().max()) > 0}
    with lab.program.kept(seed=0):
        optimizer = lab.program.optimizer or _spare_optimizer(lab)
        for number, batch in enumerate(lab.program.batches(_no_workers(lab))):
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


def _rows_equal(parameter: Tensor) -> bool:
    flat = parameter.detach().reshape(len(parameter), -1)
    spread = (flat - flat[:1]).abs().max()
    return bool(spread <= 1e-6 * flat.abs().max().clamp(min=1e-12))


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
    other = rows_of(inputs, roll)
    with lab.program.kept(seed=0):
        stretched = mapped(inputs, lambda t: 3 * t)
        one, two = _eval_outputs(lab, stretched), _eval_outputs(lab, mapped(other, lambda t: 3 * t))
        mixed = _eval_outputs(lab, _mix(stretched, mapped(other, lambda t: 3 * t), 0.3))
    for first, second, between in zip(one, two, mixed, strict=True):
        if first.shape != between.shape:
            return
        size = max(float((first - second).abs().max()), 1e-9)
        off = float((between - (0.3 * first + 0.7 * second)).abs().max()) / size
        if off > 1e-3:
            return
    widths = _bottlenecks(layers)
    message = f"the network's {len(layers)} layers together are one linear map: there is no nonlinearity between them"
    severity = "warning" if widths else "error"
    yield Finding("no-nonlinearity", severity, message, {"layers": len(layers)}, "put an activation between the layers")


def _mix(one: Any, two: Any, share: float) -> Any:
    found = iter([t for _, t in leaves(two)])
    return mapped(one, lambda t: share * t + (1 - share) * next(found))


def _bottlenecks(layers: list[nn.Module]) -> bool:
    """A linear layer narrower than both its ends lowers the rank, which may be meant (an autoencoder, factors)."""
    linear = [m for m in layers if isinstance(m, nn.Linear)]
    pairs = zip(linear, linear[1:], strict=False)
    return any(a.out_features < min(a.in_features, b.out_features) for a, b in pairs)


def _linear_chain(lab: Lab) -> Iterator[Finding]:
    """Two layers in a row, the second fed with the first's very output, where no narrow waist explains it."""
    makers: dict[int, str] = {}
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
        before = makers.get(id(source))
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            if before is not None and wide(lab.program.model.get_submodule(before), module):
                found.append((before, names[module]))
            makers[id(output)] = names[module]
        elif isinstance(module, passing) and before is not None:
            makers[id(output)] = before
        held.append(output)  # kept alive, so that no other tensor takes its number

    hooks = [module.register_forward_hook(after) for module in lab.program.model.modules()]
    try:
        with lab.program.kept(seed=0):
            lab.outputs(lab.batch[0])
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        pairs = list(dict.fromkeys(found))
        message = (
            f"{pairs[0][1]} is fed with what {pairs[0][0]} gives, with no nonlinearity between: they are one layer"
        )
        yield Finding(
            "no-nonlinearity", "error", message, {"layers": [list(pair) for pair in pairs]}, "put an activation between"
        )


def dead_units(lab: Lab) -> Iterator[Finding]:
    """Units whose weights never get a gradient from any row, though the layer's others may."""
    program = lab.program
    rows = {n: torch.zeros(len(p)) for n, p in program.model.named_parameters() if _is_layer_weight(program.model, n)}
    if not rows:
        return
    named = dict(program.model.named_parameters())
    with program.kept(seed=0):
        for _ in range(STEPS):
            _plain_step(lab)
        for number, batch in enumerate(program.batches(_no_workers(lab))):
            if number == 6:
                break
            program.model.zero_grad(set_to_none=True)
            _loss(lab, batch).backward()
            for name in rows:
                grad = named[name].grad
                if grad is not None:
                    rows[name] += grad.detach().reshape(len(grad), -1).abs().sum(1).cpu()
    dead = {n: float((total == 0).float().mean()) for n, total in rows.items() if named[n].requires_grad}
    last = [n for n, p in program.model.named_parameters() if p.dim() > 1][-1:]
    bad = {n: share for n, share in dead.items() if share >= 0.5 and n not in last and rows[n].numel() >= UNITS}
    alive = any(total.any() for total in rows.values())
    if bad and alive or (bad and not alive):
        name = max(bad, key=lambda n: bad[n])
        message = f"{bad[name]:.0%} of the units of {name} get no gradient from any of the rows: they are dead"
        fix = "lower the learning rate or the negative bias, draw smaller weights, or use a leaky activation"
        severity = "error" if bad[name] >= 0.8 else "warning"
        yield Finding("dead-units", severity, message, {"share": {n: round(s, 3) for n, s in bad.items()}}, fix)


def _is_layer_weight(model: nn.Module, name: str) -> bool:
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name) if owner_name else model
    return leaf == "weight" and isinstance(owner, nn.Linear | nn.modules.conv._ConvNd)


CHECKS = (
    unregistered,
    weights,
    symmetry,
    eval_mode,
    batch_mixing,
    time_leak,
    silent_units,
    input_ignored,
    hidden_words,
    padding_leak,
    nonlinearity,
    dead_units,
)
