"""Low-rank adapters (LoRA; Hu et al., 2021, arXiv 2106.09685): a network rests, small additions to its matrices learn.

Shapes: M x N a matrix of weights, R the rank. W (M, N) becomes W + 16 / R * B A, with B (M, R) zero at first, so that
training begins at the network as it was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..finding import BadInput, Finding
from ..task import Task
from ..transfer import within

__all__ = ["adapt", "adaptable", "is_adapted", "merged", "note_adapters"]

SCALE = 16.0  # alpha of section 4.1: with it the learning rate need not follow the rank
NAMES = ("weight", "in_proj_weight")  # of matrices: the second is nn.MultiheadAttention's


@dataclass(frozen=True)
class Place:
    """A matrix that is adapted."""

    module: nn.Module
    name: str
    sides: tuple[int, int]

    def count(self, rank: int) -> int:
        """Numbers that its adapter learns."""
        return min(rank, *self.sides) * sum(self.sides)


class LowRank(nn.Module):
    """(M, N) to (M, N): the matrix with what the adapter adds.

    >>> LowRank((3, 4), 2, torch.Generator())(torch.ones(3, 4)).equal(torch.ones(3, 4))
    True
    """

    def __init__(self, sides: tuple[int, int], rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rank = min(rank, *sides)
        bound = 1 / math.sqrt(sides[1])
        self.a = nn.Parameter((2 * torch.rand(rank, sides[1], generator=generator) - 1) * bound)
        self.b = nn.Parameter(torch.zeros(sides[0], rank))
        self.scale = SCALE / rank

    def forward(self, matrix: Tensor) -> Tensor:
        return torch.addmm(matrix, self.b, self.a, alpha=self.scale)


def adaptable(model: nn.Module, head: Sequence[str]) -> list[Place]:
    """Matrices below the head, but for embeddings and what several modules share."""
    uses = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or within(name, head):
            continue
        for key in NAMES:
            matrix = module._parameters.get(key)
            if matrix is not None and matrix.dim() == 2 and uses[id(matrix)] == 1:
                found.append(Place(module, key, (matrix.shape[0], matrix.shape[1])))
    return found


def note_adapters(task: Task, model: nn.Module) -> Finding:
    """How many numbers will learn. Raises BadInput where there is nothing to adapt."""
    head = task.head(model)
    places, rank = adaptable(model, head), task.recipe.transfer.rank
    if not places:
        raise BadInput(
            f"transfer=adapters: {task.recipe.model.name} has no matrices below its head to adapt, only such layers as"
            " convolutions: transfer=finetune or transfer=features would be right"
        )
    adapters = sum(place.count(rank) for place in places)
    heads = sum(parameter.numel() for part in head for parameter in model.get_submodule(part).parameters())
    whole = sum(parameter.numel() for parameter in model.parameters())
    message = (
        f"{adapters + heads:,} of {whole:,} parameters learn: adapters of rank {rank} at {len(places)} matrices"
        f" ({adapters:,}) and the head ({heads:,})"
    )
    evidence = {"adapters": adapters, "head": heads, "parameters": whole, "matrices": len(places), "rank": rank}
    return Finding("adapters", "note", message, evidence)


def adapt(task: Task, model: nn.Module) -> None:
    """Put adapters on the matrices, where the recipe asks for them; all but them and the head rests from now on."""
    asked = task.recipe.transfer
    if asked.init is None or asked.name != "adapters":
        return
    head = task.head(model)
    places = adaptable(model, head)
    model.requires_grad_(False)
    for part in head:
        model.get_submodule(part).requires_grad_(True)
    generator = torch.Generator().manual_seed(task.recipe.train.seed)
    for place in places:
        device = getattr(place.module, place.name).device
        adapter = LowRank(place.sides, asked.rank, generator).to(device)
        parametrize.register_parametrization(place.module, place.name, adapter)


def is_adapted(model: nn.Module) -> bool:
    return any(isinstance(module, LowRank) for module in model.modules())


@torch.no_grad()
def merged(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the network without adapters that computes the same, by the names that it has."""
    held: dict[str, Tensor] = model.state_dict()
    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        for key in NAMES:
            if parametrize.is_parametrized(module, key):
                inside = f"{prefix}parametrizations.{key}."
                held = {own: value for own, value in held.items() if not own.startswith(inside)}
                held[f"{prefix}{key}"] = getattr(module, key)
    return held
