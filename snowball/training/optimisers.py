"""Optimisers and schedules. A schedule is a function of the step (and of past validation losses), not a machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..recipe import OptimSection, ScheduleSection
from .transfer import LearningPart

__all__ = ["build_optimisers", "lr_factor", "warmup_steps"]

_MUON_ADAMW_SHARE = 0.05  # Muon's own rate suits orthogonal updates of unit size; AdamW's part takes this share of it


def build_optimisers(
    model: nn.Module, recipe: OptimSection, parts: Sequence[LearningPart]
) -> list[torch.optim.Optimizer]:
    """One optimiser, or two for Muon. Biases and norms never decay.

    Each group keeps its peak rate as `peak_lr`, and the epoch from which it learns as `begins`.
    """
    assert recipe.lr is not None and recipe.weight_decay is not None  # Recipe.build filled them in
    if recipe.name != "muon":
        return [_one(recipe.name, parts, recipe.lr, recipe)]
    hidden = {id(matrix) for matrix in _hidden_matrices(model)}
    others = [replace(part, parameters=[p for p in part.parameters if id(p) not in hidden]) for part in parts]
    built = []
    if any(part.parameters for part in others):
        built.append(_one("adamw", others, recipe.lr * _MUON_ADAMW_SHARE, recipe))
    groups: list[dict[str, Any]] = [
        {"params": matrices, "peak_lr": recipe.lr * part.scale, "begins": part.begins}
        for part in parts
        if (matrices := [parameter for parameter in part.parameters if id(parameter) in hidden])
    ]
    if groups:
        momentum, nesterov = recipe.momentum, recipe.nesterov
        built.append(torch.optim.Muon(groups, recipe.lr, recipe.weight_decay, momentum=momentum, nesterov=nesterov))
    return built


def _one(name: str, parts: Sequence[LearningPart], lr: float, recipe: OptimSection) -> torch.optim.Optimizer:
    groups = []
    for part in parts:
        decayed = [p for p in part.parameters if p.dim() >= 2 or not recipe.weight_decay]  # one group, one kernel call
        plain = [p for p in part.parameters if p.dim() < 2 and recipe.weight_decay]
        groups += [
            {"params": group, "weight_decay": decay, "peak_lr": lr * part.scale, "begins": part.begins}
            for group, decay in ((decayed, recipe.weight_decay), (plain, 0.0))
            if group
        ]
    if name == "sgd":
        nesterov = recipe.nesterov and recipe.momentum > 0
        return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(groups, lr=lr, betas=recipe.betas, fused=True)


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    """The weights of linear layers but the last: Muon is meant for neither embeddings nor the classifier."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [module.weight for module in linear[:-1] if module.weight.requires_grad]


def warmup_steps(recipe: ScheduleSection, num_steps: int) -> int:
    """Steps at the beginning over which the learning rate rises to its peak."""
    return math.ceil((recipe.warmup or (0.3 if recipe.name == "onecycle" else 0.0)) * num_steps)


def lr_factor(
    recipe: ScheduleSection, step: int, num_steps: int, steps_per_epoch: int, val_losses: Sequence[float]
) -> float:
    """The learning rate of `step` (from 0), as a factor of its peak.

    >>> [round(lr_factor(ScheduleSection(name="cosine"), s, 5, 5, []), 2) for s in (0, 2, 4)]
    [1.0, 0.5, 0.0]
    """
    rise = warmup_steps(recipe, num_steps)
    if step < rise:
        return (step + 1) / rise
    if recipe.name == "constant":
        return 1.0
    if recipe.name == "step":
        return max(recipe.floor, recipe.gamma ** (step // steps_per_epoch // recipe.every))
    if recipe.name == "plateau":
        return max(recipe.floor, recipe.gamma ** _falls(val_losses, recipe.patience))
    done = (step - rise) / max(1, num_steps - 1 - rise)
    return recipe.floor + (1 - recipe.floor) * 0.5 * (1 + math.cos(math.pi * done))


def _falls(val_losses: Sequence[float], patience: int) -> int:
    """How often the validation loss went `patience` epochs without a new lowest value; each fall counts anew."""
    lowest, waited, falls = math.inf, 0, 0
    for loss in val_losses:
        if loss < lowest:
            lowest, waited = loss, 0
        else:
            waited += 1
            if waited >= patience:
                falls, waited = falls + 1, 0
    return falls


def set_lr(optimisers: Sequence[torch.optim.Optimizer], factor: float, epoch: float) -> float:
    """Give every group its peak rate times `factor`, or 0 before its epoch; returns the first group's rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor if epoch >= group["begins"] else 0.0
    first: float = optimisers[0].param_groups[0]["lr"]
    return first


def optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Every tensor of the optimisers' state, named `optim/NUMBER/PARAMETER/KEY`."""
    return {
        f"optim/{number}/{parameter}/{key}": value
        for number, optimiser in enumerate(optimisers)
        for parameter, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def load_optimiser_tensors(optimisers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; groups and rates come from the recipe.

    A state tensor gets its parameter's memory layout back: files hold contiguous tensors, and the fused kernels walk
    both by address, so that a channels-last weight with a contiguous average would be updated with another weight's.
    """
    for number, optimiser in enumerate(optimisers):
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"optim/{number}/"):
                _, _, parameter, key = name.split("/")
                like = parameters[int(parameter)]
                if value.shape == like.shape:
                    value = torch.empty_like(like, dtype=value.dtype).copy_(value)
                state.setdefault(int(parameter), {})[key] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
