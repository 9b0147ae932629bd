"""Boxes of single-shot detectors (Liu et al., 2016). N rows, P boxes laid out beforehand, K classes.

A box is x1, y1, x2, y2 in shares of the picture.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..registry import Spec, register

__all__ = ["detection_output", "prior_box"]

MAX_BOXES = 2_000_000
CANDIDATES = 400  # of a class, where top_k does not say


class _PriorBox(nn.Module):
    boxes: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.bottoms(2)
        spec.dims(4)
        height, width = spec.shapes[0][2:]
        sizes = _sizes(spec)
        variance = spec.reals("variance") or [0.1]
        if len(variance) not in (1, 4) or min(variance) <= 0:
            raise spec.layer.wrong(f"variance {variance}: one number above 0, or four, would be right")
        count = height * width * len(sizes)
        if count > MAX_BOXES:
            raise spec.layer.wrong(f"{count:,} boxes; {MAX_BOXES:,} are possible")
        boxes = _laid_out(spec, np.array(sizes), height, width)
        if spec.flag("clip"):
            boxes = boxes.clip(0, 1)
        variances = np.broadcast_to(np.array(variance * (4 // len(variance))), boxes.shape)
        both = np.stack([boxes.reshape(-1), variances.reshape(-1)])[None]  # (1, 2, P * 4)
        self.register_buffer("boxes", torch.from_numpy(both.astype(np.float32)), persistent=False)

    def forward(self, features: Tensor, picture: Tensor) -> Tensor:
        return self.boxes.to(features.device)


def _sizes(spec: Spec) -> list[tuple[float, float]]:
    """(width, height) in pixels of the boxes at each place."""
    least, most, ratios = spec.reals("min_size"), spec.reals("max_size"), [1.0]
    if not least or min(least) <= 0 or (most and len(most) != len(least)) or len(least) > 100:
        raise spec.layer.wrong(
            f"min_size {least} and max_size {most}: at least one, and as many of both, would be right"
        )
    for ratio in spec.reals("aspect_ratio"):
        if ratio <= 0 or len(ratios) > 100:
            raise spec.layer.wrong(f"an aspect_ratio of {ratio:g}")
        if all(abs(ratio - known) >= 1e-6 for known in ratios):
            ratios += [ratio, 1 / ratio] if spec.flag("flip") else [ratio]
    found: list[tuple[float, float]] = []
    for number, side in enumerate(least):
        found.append((side, side))
        if most:
            found.append((math.sqrt(side * most[number]),) * 2)
        found += [(side * math.sqrt(ratio), side / math.sqrt(ratio)) for ratio in ratios[1:]]
    return found


def _laid_out(spec: Spec, sizes: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, boxes, 4)."""
    whole = spec.number("img_size", 0, 100_000) if "img_size" in spec else 0
    tall = whole or (spec.number("img_h", 1, 100_000) if "img_h" in spec else spec.shapes[1][2])
    wide = whole or (spec.number("img_w", 1, 100_000) if "img_w" in spec else spec.shapes[1][3])
    both = spec.real("step") if "step" in spec else 0.0
    step_y = both or (spec.real("step_h") if "step_h" in spec else tall / height)
    step_x = both or (spec.real("step_w") if "step_w" in spec else wide / width)
    offset = spec.real("offset")
    x = (np.arange(width) + offset)[None, :, None] * step_x
    y = (np.arange(height) + offset)[:, None, None] * step_y
    shape = (height, width, len(sizes))
    half_x, half_y = sizes[:, 0] / 2, sizes[:, 1] / 2
    corners = [(x - half_x) / wide, (y - half_y) / tall, (x + half_x) / wide, (y + half_y) / tall]
    return np.stack([np.broadcast_to(corner, shape) for corner in corners], -1)


@register("PriorBox", message="prior_box_param")
def prior_box(spec: Spec) -> nn.Module:
    """Boxes around each place of the features, and their variances: (1, 2, P * 4), whatever the picture shows."""
    return _PriorBox(spec)


class _DetectionOutput(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.bottoms(3)
        self._classes = spec.number("num_classes", 1, 10_000)
        self._background = spec.number("background_label_id", -1)
        self._shared = spec.flag("share_location")
        self._code = spec.word("code_type")
        self._encoded = spec.flag("variance_encoded_in_target")
        self._keep = spec.number("keep_top_k", -1)
        self._least = spec.real("confidence_threshold") if "confidence_threshold" in spec else -math.inf
        nms = spec.inner("nms_param")
        self._overlap = nms.real("nms_threshold")
        self._candidates = nms.number("top_k", -1) if "top_k" in nms else CANDIDATES
        if nms.real("eta") != 1:
            raise spec.layer.wrong("nms_param.eta other than 1 is not known")
        boxes = spec.shapes[2][-1] // 4
        sets = 1 if self._shared else self._classes
        if (math.prod(spec.shapes[0][1:]), math.prod(spec.shapes[1][1:])) != (boxes * 4 * sets, boxes * self._classes):
            raise spec.layer.wrong(f"places {spec.shapes[0]}, scores {spec.shapes[1]}, boxes {spec.shapes[2]}")

    @torch.no_grad()
    def forward(self, places: Tensor, scores: Tensor, boxes: Tensor) -> Tensor:
        if places.is_meta:
            return places.new_empty(1, 1, 1, 7)
        flat = boxes.reshape(2, -1, 4)
        rows = places.shape[0]
        offsets = places.reshape(rows, flat.shape[1], -1, 4)
        shares = scores.reshape(rows, flat.shape[1], self._classes)
        found = [part for row in range(rows) for part in self._row(row, offsets[row], shares[row], flat)]
        if not found:  # as Caffe says that there is nothing: one row of no class
            return places.new_tensor([[[[0.0, -1, -1, -1, -1, -1, -1]]]])
        return torch.cat(found)[None, None]

    def _row(self, row: int, offsets: Tensor, shares: Tensor, boxes: Tensor) -> list[Tensor]:
        """[(found, 7)]: number of the row, class, score, box."""
        found: list[tuple[float, int, Tensor]] = []
        for number in range(self._classes):
            if number == self._background:
                continue
            corners = self._corners(offsets[:, 0 if self._shared else number], boxes)
            score = shares[:, number]
            chosen = torch.nonzero(score > self._least)[:, 0]
            order = chosen[score[chosen].sort(descending=True, stable=True).indices]
            for box in _suppressed(
                corners[order[: self._candidates] if self._candidates >= 0 else order], self._overlap
            ):
                found.append((float(score[order[box]]), number, corners[order[box]]))
        if self._keep >= 0 and len(found) > self._keep:
            kept = sorted(range(len(found)), key=lambda at: -found[at][0])[: self._keep]
            found = [found[at] for at in sorted(kept)]
        head = [torch.tensor([row, number, score], dtype=boxes.dtype) for score, number, _ in found]
        return [torch.cat([first.to(box.device), box])[None] for first, (_, _, box) in zip(head, found, strict=True)]

    def _corners(self, offsets: Tensor, boxes: Tensor) -> Tensor:
        """(P, 4): the boxes laid out beforehand, moved by what the network says."""
        prior, variance = boxes.unbind()
        moved = offsets if self._encoded else offsets * variance
        if self._code == "CORNER":
            return prior + moved
        size = prior[:, 2:] - prior[:, :2]
        if self._code == "CORNER_SIZE":
            return prior + moved * size.repeat(1, 2)
        centre = (prior[:, :2] + prior[:, 2:]) / 2 + moved[:, :2] * size
        half = moved[:, 2:].exp() * size / 2
        return torch.cat([centre - half, centre + half], 1)


def _suppressed(corners: Tensor, overlap: float) -> list[int]:
    """Boxes in their order without those that lie over an earlier one by more than `overlap` of their union."""
    kept: list[int] = []
    area = (corners[:, 2:] - corners[:, :2]).clamp(min=0).prod(1)
    for box in range(len(corners)):
        if kept:
            earlier = corners[kept]
            low = torch.maximum(earlier[:, :2], corners[box, :2])
            high = torch.minimum(earlier[:, 2:], corners[box, 2:])
            shared = (high - low).clamp(min=0).prod(1)
            if bool((shared / (area[kept] + area[box] - shared).clamp(min=1e-12) > overlap).any()):
                continue
        kept.append(box)
    return kept


@register("DetectionOutput", message="detection_output_param")
def detection_output(spec: Spec) -> Any:
    """Places, scores and boxes laid out beforehand to (1, 1, found, 7): row, class, score, x1, y1, x2, y2."""
    return _DetectionOutput(spec)
