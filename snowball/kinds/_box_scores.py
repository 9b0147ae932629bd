"""Scores of boxes: COCO's average precision from faster-coco-eval, and what can be summed batch by batch.

C classes, K predicted and M true boxes of a picture. Predicted boxes are in shares of the picture's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..kind import Block
from ._box_geometry import pairwise_iou

if TYPE_CHECKING:
    from .boxes import Boxes

__all__ = ["average_precision", "coco_scores", "match_counts", "precision_blocks", "score_intervals"]

BINS = 50  # of scores, for the average precision that is summed: within 0.01 of the exact one on real detectors
RECALLS = np.linspace(0, 1, 101)  # where COCO reads precision
DRAWS = 200  # of the bootstrap
SIZES = ("small", "medium", "large")  # below 32 x 32, below 96 x 96, the rest


@dataclass(frozen=True)
class CocoScores:
    """`figures` by name; `precision` (10, 101, C) at overlaps 0.5..0.95 and RECALLS, -1 where a class has no box."""

    figures: dict[str, float]
    precision: np.ndarray
    by_size: dict[str, np.ndarray]
    """size -> average precision of each class (C,), NaN where there are none."""


def coco_scores(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes], labels: Sequence[str]
) -> CocoScores:
    """`map` (mean over overlaps 0.5 to 0.95), `map50`, `map75`, and by size, as COCO's own evaluation defines them."""
    from faster_coco_eval import COCO, COCOeval_faster

    numbers = {label: number for number, label in enumerate(labels, start=1)}
    truth = COCO(_dataset(answers, numbers))
    said = list(_results(predictions, answers, numbers))
    if not said:  # the library takes no empty list
        precision = np.where(_occurring(answers, labels), 0.0, -1.0)[None, None].repeat(10, 0).repeat(101, 1)
        return CocoScores({"map50": 0.0, "map": 0.0, "map75": 0.0}, precision, {})
    evaluation = COCOeval_faster(truth, truth.loadRes(said), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])  # (10, 101, C, all and SIZES, limits of boxes)
    whole = precision[:, :, :, 0, -1]
    figures = {"map50": _mean(whole[0]), "map": _mean(whole), "map75": _mean(whole[5])}
    by_size = {}
    for at, size in enumerate(SIZES, start=1):
        part = precision[:, :, :, at, -1]
        if (part > -1).any():
            figures[f"map_{size}"] = _mean(part)
            by_size[size] = np.where(part[0, 0] > -1, part.mean((0, 1)), math.nan)
    return CocoScores(figures, whole, by_size)


def _mean(precision: np.ndarray) -> float:
    real = precision[precision > -1]
    return float(real.mean()) if real.size else 0.0


def _occurring(answers: Sequence[Boxes], labels: Sequence[str]) -> np.ndarray:
    there = {label for answer in answers for label in answer.labels}
    return np.array([label in there for label in labels])


def _dataset(answers: Sequence[Boxes], numbers: Mapping[str, int]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, answer in enumerate(answers):
        for label, (x1, y1, x2, y2) in zip(answer.labels, answer.corners.astype(float).tolist(), strict=True):
            wide, tall = x2 - x1, y2 - y1
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": numbers[label], "iscrowd": 0}
            annotations.append({**one, "bbox": [x1, y1, wide, tall], "area": wide * tall})
    images = [{"id": image, "width": answer.width, "height": answer.height} for image, answer in enumerate(answers)]
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def _results(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes], numbers: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for image, (prediction, answer) in enumerate(zip(predictions, answers, strict=True)):
        for box in prediction["boxes"]:
            x1, x2 = (at * answer.width for at in box["box"][::2])
            y1, y2 = (at * answer.height for at in box["box"][1::2])
            place = [x1, y1, x2 - x1, y2 - y1]
            yield {"image_id": image, "category_id": numbers[box["label"]], "bbox": place, "score": box["score"]}


def match_counts(finished: Mapping[str, Tensor], target: Tensor, num_classes: int) -> Tensor:
    """(C, BINS, 2) predicted boxes by class and score: right at an overlap of one half, and wrong.

    By falling score, each takes the true box of its class that it overlaps most and that is still free. `finished` has
    `scores`, `labels` (B, K) and `corners` (B, K, 4), sorted; `target` (B, M, 5).
    """
    scores, labels = finished["scores"], finished["labels"]
    overlap = pairwise_iou(finished["corners"], target[..., 1:])  # (B, K, M)
    overlap = overlap * (labels[:, :, None] == target[:, None, :, 0])
    free = torch.ones_like(overlap[:, 0])
    rows = torch.arange(len(scores), device=scores.device)
    counts = torch.zeros(num_classes, BINS, 2, device=scores.device, dtype=torch.float64)
    for k in range(scores.shape[1]):
        best, which = (overlap[:, k] * free).max(1)
        right = best >= 0.5
        free[rows, which] = torch.where(right, 0.0, free[rows, which])
        at = (scores[:, k] * BINS).long().clamp(max=BINS - 1)
        counts.index_put_((labels[:, k], at, (~right).long()), (scores[:, k] > 0).to(counts.dtype), accumulate=True)
    return counts


def average_precision(matches: np.ndarray, num_classes: int) -> float:
    """Mean over classes of the average precision that histograms of `match_counts` and true boxes give.

    `matches` (C * BINS * 2 + C,): the counts, then how many true boxes each class has; any common factor is no matter.
    """
    counts, true = matches[:-num_classes].reshape(num_classes, BINS, 2), matches[-num_classes:]
    found = [_interpolated(counts[c, ::-1].cumsum(0), true[c]) for c in range(num_classes) if true[c] > 0]
    return float(np.mean(found)) if found else 0.0


def _interpolated(cumulated: np.ndarray, true: float) -> float:
    """Average precision of cumulated (right, wrong) counts (S, 2) by falling score, read as COCO reads it."""
    right = cumulated[:, 0]
    recall, precision = right / true, right / np.maximum(cumulated.sum(1), 1e-12)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS - 1e-9)
    return float(np.where(at < len(envelope), envelope[np.minimum(at, len(envelope) - 1)], 0.0).mean())


def score_intervals(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes], labels: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap interval of map50 over pictures; NaN for the other figures, which have none."""
    rows, scores, classes, right = _matched(predictions, answers)
    true = np.array([[answer.labels.count(label) for label in labels] for answer in answers])  # (pictures, C)
    order = np.argsort(-scores, kind="stable")
    random = np.random.Generator(np.random.Philox(0))
    drawn = []
    for _ in range(DRAWS):
        weight = np.bincount(random.integers(len(answers), size=len(answers)), minlength=len(answers))
        found = []
        for number, label in enumerate(labels):
            own = order[classes[order] == label]
            count = float(weight @ true[:, number])
            if count and len(own):
                both = np.stack([right[own], 1 - right[own]], 1) * weight[rows[own]][:, None]
                found.append(_interpolated(both.cumsum(0), count))
            elif count:
                found.append(0.0)
        if found:  # else no picture that was drawn has a box
            drawn.append(float(np.mean(found)))
    low, high = (float(at) for at in np.quantile(drawn, [0.025, 0.975])) if drawn else (math.nan, math.nan)
    others = dict.fromkeys(("map", "map75", *(f"map_{size}" for size in SIZES)), (math.nan, math.nan))
    return {"map50": (low, high), **others}


def _matched(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every predicted box: its picture, score, label, and whether it is right (1 or 0) at an overlap of one half."""
    found: list[tuple[int, float, str, float]] = []
    for row, (prediction, answer) in enumerate(zip(predictions, answers, strict=True)):
        said = sorted(prediction["boxes"], key=lambda box: -box["score"])
        if not said:
            continue
        side = np.array([answer.width, answer.height] * 2, dtype=np.float32)
        corners = torch.tensor([[box["box"] for box in said]], dtype=torch.float32)
        overlap = pairwise_iou(corners, torch.from_numpy(answer.corners / side)[None])[0].numpy().copy()
        for k, box in enumerate(said):
            overlap[k, [label != box["label"] for label in answer.labels]] = 0
            best = int(overlap[k].argmax()) if answer.labels else -1
            right = best >= 0 and overlap[k, best] >= 0.5
            if right:
                overlap[:, best] = 0
            found.append((row, box["score"], box["label"], float(right)))
    columns = tuple(np.array(column) for column in zip(*found, strict=True)) if found else (np.zeros(0),) * 4
    rows, scores, classes, rights = columns
    return rows.astype(int), scores, classes, rights


def precision_blocks(
    predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes], labels: Sequence[str]
) -> list[Block]:
    """Average precision by class and by size, and the curves of precision over recall."""
    scores = coco_scores(predictions, answers, labels)
    true = {label: sum(answer.labels.count(label) for answer in answers) for label in labels}
    rows = []
    for number, label in enumerate(labels):
        own = scores.precision[:, :, number]
        sizes = [scores.by_size[size][number] if size in scores.by_size else math.nan for size in SIZES]
        figures = [own[0].mean(), own.mean(), *sizes] if true[label] else [math.nan] * 5
        rows.append([label, *(None if math.isnan(at) else round(float(at), 4) for at in figures), true[label]])
    columns = ["class", "AP50", "AP", *(f"AP {size}" for size in SIZES), "boxes"]
    there = [number for number, label in enumerate(labels) if true[label]]
    curves = {
        "x": RECALLS.tolist(),
        "series": {labels[n]: [round(float(at), 4) for at in scores.precision[0, :, n]] for n in there},
        "diagonal": False,
        "x_label": "recall",
        "y_label": "precision",
    }
    note = "small: below 32 x 32 pixels; large: 96 x 96 or more"
    return [
        Block("Per class", "table", {"columns": columns, "rows": rows}, note),
        Block("Precision and recall", "lines", curves, "at an overlap (IoU) of one half"),
    ]
