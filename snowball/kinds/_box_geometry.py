"""Geometry of boxes, in plain tensor operations that export. Boxes are x1, y1, x2, y2; B rows, M and N boxes."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["generalised_iou", "pairwise_iou", "suppress", "warp_boxes"]

ROUNDS = 16  # of suppression: one for each link of a chain of overlapping boxes; greedy's result once it settles
VISIBLE = 0.25  # of a box's area that has to stay in the picture for the box to stay


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(B, M, 4) and (B, N, 4) to their intersection over union (B, M, N).

    >>> pairwise_iou(torch.tensor([[[0.0, 0, 2, 2]]]), torch.tensor([[[1.0, 0, 3, 2], [5, 5, 6, 6]]])).tolist()
    [[[0.3333333432674408, 0.0]]]
    """
    first, second = first[:, :, None], second[:, None]
    both = _area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    union = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - both
    return both / union.clamp(min=1e-9)


def generalised_iou(first: Tensor, second: Tensor) -> Tensor:
    """(..., 4) and (..., 4) to (...): -1 for boxes far apart, 1 for equal ones (Rezatofighi et al., 2019)."""
    both = _area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    union = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - both
    hull = _area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    return both / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def _area(low: Tensor, high: Tensor) -> Tensor:
    side = (high - low).clamp(min=0)
    return side[..., 0] * side[..., 1]


def suppress(boxes: Tensor, labels: Tensor, max_overlap: float) -> Tensor:
    """Greedy non-maximum suppression of boxes (B, N, 4) sorted by score: which are kept, (B, N) bool.

    A box goes where a kept one of its label before it overlaps it more than `max_overlap`. Written as a fixed number of
    rounds of one rule, so that it is the same graph for any boxes; each round settles one more link of every chain.
    """
    num = boxes.shape[1]
    before = torch.ones(num, num, dtype=torch.bool, device=boxes.device).triu(1)
    rivals = (pairwise_iou(boxes, boxes) > max_overlap) & (labels[:, :, None] == labels[:, None]) & before
    against = rivals.float().transpose(1, 2)  # (B, N, N): row n has those that can suppress n
    keep = torch.ones(labels.shape, device=boxes.device)
    for _ in range(ROUNDS):
        keep = 1 - (against @ keep[:, :, None])[:, :, 0].clamp(max=1)
    return keep > 0.5


def warp_boxes(boxes: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B, M, 4) in shares of the picture after it was resampled by theta (B, 2, 3), see kind.Follow.

    The hull of the four moved corners, cut at the picture's edge, and which of them are still to be seen (B, M).
    """
    corners = boxes[..., [0, 1, 2, 1, 0, 3, 2, 3]].unflatten(2, (4, 2)) * 2 - 1  # (B, M, 4, 2)
    moved = (corners - theta[:, None, None, :, 2]) @ torch.linalg.inv(theta[:, None, :, :2]).transpose(2, 3)
    hull = torch.cat([moved.amin(2), moved.amax(2)], 2) / 2 + 0.5
    cut = hull.clamp(0, 1)
    return cut, _area(cut[..., :2], cut[..., 2:]) > VISIBLE * _area(hull[..., :2], hull[..., 2:])
