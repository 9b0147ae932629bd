"""Random variants of scenes: turned, mirrored, larger or smaller, and played backwards.

Shapes: B rows, A agents, T observed and F predicted frames; an entry is x, y, and 1 where they are known.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from ..kind import Batch
from ..recipe import Section
from ..rng import SampleRandom

__all__ = ["PathAugment", "augment_paths"]


class PathAugment(Section):
    """Random changes to training scenes; all agents of a scene change together. 0 switches one off."""

    key = "augment"

    rotate: float = Field(180.0, ge=0, le=180)
    """Degrees, to either side."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability that a scene is mirrored. Where traffic keeps to one side, 0."""
    scale: float = Field(0.2, ge=0, lt=1)
    """Share by which a scene grows or shrinks: 0.2 is 0.8 to 1.2."""
    reverse: float = Field(0.0, ge=0, le=1)
    """Probability that a scene is played backwards: who walks could as well have walked the other way."""


def augment_paths(recipe: PathAugment, role: str, batch: Batch, rng: SampleRandom) -> Batch:
    """A random variant of a batch of scenes and of what is to be predicted of them."""
    past = batch.inputs[role]
    answer, target = next(iter(batch.targets.items()))
    draw = rng.uniform(4)  # (B, 4)
    if recipe.reverse:
        past, target = _reversed(past, target, draw[:, 0] < recipe.reverse)
    angle = (2 * draw[:, 1] - 1) * math.radians(recipe.rotate)
    size = 1 + recipe.scale * (2 * draw[:, 2] - 1)
    mirror = torch.where(draw[:, 3] < recipe.flip, -1.0, 1.0)
    cos, sin = size * angle.cos(), size * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin * mirror], 1), torch.stack([sin, cos * mirror], 1)], 1)  # (B, 2, 2)
    past, target = _turned(past, turn), _turned(target, turn)
    return Batch({**batch.inputs, role: past}, {**batch.targets, answer: target}, batch.index)


def _turned(part: Tensor, turn: Tensor) -> Tensor:
    return torch.cat([torch.einsum("bij,batj->bati", turn, part[..., :2]), part[..., 2:]], 3)


def _reversed(past: Tensor, target: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen scenes backwards: of agents that are known in every frame, and without the others."""
    whole = (target[..., 2].amin(2) > 0) & (past[..., 2].amin(2) > 0)  # (B, A)
    back = torch.cat([past, target], 2).flip(2) * whole[..., None, None]
    frames = past.shape[2]
    pick = chosen[:, None, None, None]
    return torch.where(pick, back[:, :, :frames], past), torch.where(pick, back[:, :, frames:], target)
