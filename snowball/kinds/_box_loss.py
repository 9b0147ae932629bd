"""The loss of a detector that answers at every place of a grid, with task-aligned assignment.

Which places learn which box is decided by how well they already answer it: by score and overlap together
(Feng et al., "TOOD: Task-aligned one-stage object detection", 2021).
Shapes: B pictures, N places, M true boxes at most, C classes; boxes x1, y1, x2, y2 in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ._box_geometry import generalised_iou, pairwise_iou

__all__ = ["dense_loss"]

PLACES = 13  # that learn one box at most
OVERLAP_POWER = 6  # overlap against score in what decides, as in the paper
OVERLAP_WEIGHT = 5.0  # of the boxes' loss against the scores'


def dense_loss(outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """(B,) losses: `logits` (B, N, C), `boxes` (B, N, 4), `places` (B, N, 4): centre and half a cell's sides.

    `target` (B, M, 5) holds class and box, padded with class -1.
    """
    logits, boxes = outputs["logits"].float(), outputs["boxes"].float()
    classes, truth = target[..., 0].long(), target[..., 1:]
    with torch.no_grad():
        weight, owner = _assign(logits.sigmoid(), boxes, outputs["places"], classes, truth)
    wanted_class = classes.clamp(min=0).gather(1, owner)  # (B, N)
    wanted = torch.zeros_like(logits).scatter(2, wanted_class[..., None], weight[..., None])
    scores = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum((1, 2))
    matched = truth.gather(1, owner[..., None].expand(-1, -1, 4))
    overlap = ((1 - generalised_iou(boxes, matched)) * weight).sum(1)
    return scores + OVERLAP_WEIGHT * overlap


def _assign(scores: Tensor, boxes: Tensor, places: Tensor, classes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """For every place the score it should have, 0 for background (B, N), and the box it learns (B, N)."""
    inside = _inside(places, truth) & (classes >= 0)[..., None]  # (B, M, N)
    overlap = pairwise_iou(truth, boxes) * inside
    own = scores.transpose(1, 2).gather(1, classes.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1]))
    aligned = own.sqrt() * overlap**OVERLAP_POWER * inside
    order = aligned + 1e-9 * inside  # places inside go before those outside even where nothing overlaps yet
    best = order.topk(min(PLACES, order.shape[2]), dim=2).indices
    chosen = torch.zeros_like(aligned).scatter(2, best, 1.0) * inside
    owner = torch.where(chosen > 0, overlap + 1e-6, 0.0).argmax(1)  # a place learns the box it overlaps most
    chosen = chosen * F.one_hot(owner, truth.shape[1]).transpose(1, 2)
    aligned = aligned * chosen
    # The best place of a box is to score what it overlaps the box; the others in proportion.
    scale = (overlap * chosen).amax(2) / aligned.amax(2).clamp(min=1e-12)
    return (aligned * scale[..., None]).amax(1), owner


def _inside(places: Tensor, truth: Tensor) -> Tensor:
    """Whether a place lies in a box (B, M, N); of a box smaller than a cell, the cell its centre is in."""
    x, y, half_width, half_height = places[:, None].unbind(3)  # (B, 1, N) each
    centre = (truth[..., :2] + truth[..., 2:]) / 2
    half = (truth[..., 2:] - truth[..., :2]) / 2
    wide = torch.maximum(half[..., :1], half_width)
    tall = torch.maximum(half[..., 1:], half_height)
    return ((x - centre[..., :1]).abs() <= wide) & ((y - centre[..., 1:]).abs() <= tall)
