"""The losses of detectors: of those that answer at every place of a grid, and of those that answer a set.

Shapes: B pictures, N places or queries, M true boxes at most, C classes; boxes x1, y1, x2, y2 in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ._box_geometry import generalised_iou, pairwise_iou

__all__ = ["dense_loss", "set_loss"]

PLACES = 13  # that learn one box at most
OVERLAP_POWER = 6  # overlap against score in what decides, as in the paper
OVERLAP_WEIGHT = 5.0  # of the boxes' loss against the scores'


def dense_loss(outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """(B,) losses of a grid: `logits` (B, N, C), `boxes` (B, N, 4), `places` (B, N, 4): centre and half a cell's sides.

    Which places learn which box is decided by how well they already answer it: by score and overlap together (Feng et
    al., "TOOD: Task-aligned one-stage object detection", 2021).

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


def set_loss(outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
    """(B,) losses of a set: `logits` (B, N, C) and `boxes` (B, N, 4), and of each `step_` of the decoder where given.

    Every true box is matched with one query, at the least total cost, and scores learn how much the two overlap: costs
    and weights of RT-DETR (Zhao et al., "DETRs beat YOLOs on real-time object detection", 2024).
    """
    steps = [(outputs["logits"], outputs["boxes"])]
    if "step_logits" in outputs:
        steps = list(zip(outputs["step_logits"].unbind(1), outputs["step_boxes"].unbind(1), strict=True))
    return torch.stack([_matched_loss(logits.float(), boxes.float(), target) for logits, boxes in steps]).sum(0)


def _matched_loss(logits: Tensor, boxes: Tensor, target: Tensor) -> Tensor:
    query, real = _match(logits.detach().sigmoid(), boxes.detach(), target)  # (B, M) each
    classes, truth = target[..., 0].long().clamp(min=0), target[..., 1:]
    said = boxes.gather(1, query[..., None].expand(-1, -1, 4))
    overlap = generalised_iou(said, truth)
    with torch.no_grad():
        shared = pairwise_iou(said, truth).diagonal(dim1=1, dim2=2).clamp(0, 1) * real
        wanted = torch.zeros_like(logits)
        rows = torch.arange(len(logits), device=logits.device)[:, None]
        wanted.index_put_((rows, query, classes), shared, accumulate=True)
        weight = torch.where(wanted > 0, wanted, 0.75 * logits.sigmoid() ** 2)  # varifocal: easy background counts less
    scores = F.binary_cross_entropy_with_logits(logits, wanted.clamp(max=1), weight, reduction="none").sum((1, 2))
    places = 5.0 * (said - truth).abs().sum(2) + 2.0 * (1 - overlap)
    return scores + (places * real).sum(1)


@torch.no_grad()
def _match(scores: Tensor, boxes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The query that each true box is matched with (B, M), and which of the boxes are no padding (B, M)."""
    from scipy.optimize import linear_sum_assignment

    classes, truth = target[..., 0].long(), target[..., 1:]
    own = scores.transpose(1, 2).gather(1, classes.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1]))
    focal = 0.25 * (1 - own) ** 2 * -(own + 1e-8).log() - 0.75 * own**2 * -(1 - own + 1e-8).log()
    apart = (truth[:, :, None] - boxes[:, None]).abs().sum(3)
    overlap = generalised_iou(truth[:, :, None].expand(-1, -1, boxes.shape[1], -1), boxes[:, None])
    cost = (2 * focal + 5 * apart - 2 * overlap).cpu().numpy()  # (B, M, N)
    real = classes >= 0
    query = torch.zeros_like(classes)
    for row in range(len(cost)):
        kept = real[row].nonzero()[:, 0].cpu()
        which, found = linear_sum_assignment(cost[row][kept.numpy()])
        query[row, kept[which]] = torch.from_numpy(found).to(query)
    return query, real


def _assign(scores: Tensor, boxes: Tensor, places: Tensor, classes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """For every place the score it should have, 0 for background (B, N), and the box it learns (B, N)."""
    inside = _inside(places, truth) & (classes >= 0)[..., None]  # (B, M, N)
    overlap = pairwise_iou(truth, boxes) * inside
    own = scores.transpose(1, 2).gather(1, classes.clamp(min=0)[..., None].expand(-1, -1, scores.shape[1]))
    aligned = own.sqrt() * overlap**OVERLAP_POWER * inside
    order = aligned + 1e-30 * inside  # places inside go before those outside even where nothing overlaps yet
    best = order.topk(min(PLACES, order.shape[2]), dim=2).indices
    chosen = torch.zeros_like(aligned).scatter(2, best, 1.0) * inside
    owner = torch.where(chosen > 0, overlap + 1e-6, 0.0).argmax(1)  # a place learns the box it overlaps most
    chosen = chosen * F.one_hot(owner, truth.shape[1]).transpose(1, 2)
    aligned = aligned * chosen
    # The best place of a box is to score what it overlaps the box; the others in proportion.
    scale = (overlap * chosen).amax(2) / aligned.amax(2).clamp(min=1e-30)
    return (aligned * scale[..., None]).amax(1), owner


def _inside(places: Tensor, truth: Tensor) -> Tensor:
    """Whether a place lies in a box (B, M, N); of a box smaller than a cell, the cell its centre is in."""
    x, y, half_width, half_height = places[:, None].unbind(3)  # (B, 1, N) each
    centre = (truth[..., :2] + truth[..., 2:]) / 2
    half = (truth[..., 2:] - truth[..., :2]) / 2
    wide = torch.maximum(half[..., :1], half_width)
    tall = torch.maximum(half[..., 1:], half_height)
    return ((x - centre[..., :1]).abs() <= wide) & ((y - centre[..., 1:]).abs() <= tall)
