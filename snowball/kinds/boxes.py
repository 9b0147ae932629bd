"""Boxes: what is in a picture and where. Boxes are x1, y1, x2, y2; B pictures, M boxes at most, C classes, K kept.

Raw boxes are in pixels of the picture, predicted ones in shares of its width and height.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field
from torch import Tensor

from ..answer import Answer
from ..finding import BadInput, Finding
from ..kind import Block, Metric, Unreadable, content_digest
from ..recipe import Recipe, Section
from ._box_geometry import pairwise_iou, suppress, warp_boxes
from ._box_loss import dense_loss, set_loss
from ._box_scores import (
    average_precision,
    coco_scores,
    match_counts,
    precision_blocks,
    score_intervals,
)

__all__ = ["Boxes", "BoxesKind"]

CANDIDATES = 300  # best places of a picture that suppression looks at
LEAST_SCORE = 0.01  # below this a box is not in an answer; average precision hardly sees them
COMPARED_SCORE = 0.05  # the tail below changes where two runtimes round otherwise, and says nothing
SHOWN_SCORE = 0.3  # from this on a box counts as said: in pictures, in words, as a mistake
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46c8f0", "#f032e6", "#9a6324")
SAME_BOX = 0.9  # overlap of two boxes that are one object


class BoxesSection(Section):
    """How boxes are answered."""

    key = "boxes"

    max_overlap: float = Field(0.6, gt=0, le=1)
    """Two boxes of one class that overlap more (IoU) are one object: the lower score goes."""
    max_boxes: int = Field(100, ge=1, le=300)
    """Boxes in one answer."""


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture of `width` x `height` pixels; `faults` are those that were set aside or cut, and why."""

    labels: tuple[str, ...]
    corners: np.ndarray
    """(N, 4) float32: x1, y1, x2, y2 in pixels."""
    width: int
    height: int
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{count} {label}" for label, count in Counter(self.labels).items()) or "nothing"


class BoxesKind(Answer):
    """State: `labels`, sorted; `counts` of boxes a label, `boxes` each (mean, in shares); `rows`; `most` in a row."""

    key = "boxes"
    sections = (BoxesSection,)
    reads_paths = False
    fit_rows = None
    traits = ("boxes",)
    metric = Metric("map50_binned", "max")
    headline = Metric("map50", "max")
    graded = True
    order = 0.002  # of average precision: 0.0007 seen with 60 pictures and a network that is unsure of all its boxes

    @classmethod
    def read(cls, cell: Any) -> Boxes:
        """`cell` has `labels`, `boxes` (N x 4 pixels), `width` and `height`; or `error`, why it could not be read.

        A box without area is set aside, one that leaves the picture is cut at its edge, and either is a fault.
        """
        if isinstance(cell, Boxes):
            return cell
        if not isinstance(cell, Mapping):
            raise Unreadable("no boxes in this row")
        if cell.get("error"):
            raise Unreadable(str(cell["error"]))
        width, height = int(cell["width"]), int(cell["height"])
        where = str(cell.get("where", "boxes"))
        labels: list[str] = []
        corners: list[list[float]] = []
        faults: list[str] = []
        for number, (label, box) in enumerate(zip(cell["labels"], cell["boxes"], strict=True), start=1):
            cut = [min(max(float(at), 0.0), float(side)) for at, side in zip(box, (width, height) * 2, strict=True)]
            shown = f"{where}, box {number} ({label}, {', '.join(f'{at:g}' for at in box)})"
            if not all(np.isfinite(box)):
                faults.append(f"{shown}: not finite; set aside")
            elif box[2] <= box[0] or box[3] <= box[1]:
                reason = "inverted" if box[2] < box[0] or box[3] < box[1] else "no area"
                faults.append(f"{shown}: {reason}; set aside")
            elif cut[2] - cut[0] < 1e-3 or cut[3] - cut[1] < 1e-3:
                faults.append(f"{shown}: outside the picture of {width} x {height}; set aside")
            else:
                if any(abs(a - b) > 1.0 for a, b in zip(cut, box, strict=True)):  # one pixel: counting from 1
                    faults.append(f"{shown}: leaves the picture of {width} x {height}; cut at its edge")
                labels.append(str(label))
                corners.append(cut)
        array = np.array(corners, dtype=np.float32).reshape(-1, 4)
        return Boxes(tuple(labels), array, width, height, tuple(faults))

    @classmethod
    def fit(cls, values: Iterable[Boxes], recipe: Recipe) -> dict[str, Any]:
        counts: Counter[str] = Counter()
        total: dict[str, np.ndarray] = {}
        rows = most = 0
        for value in values:
            rows, most = rows + 1, max(most, len(value.labels))
            counts.update(value.labels)
            for label, box in zip(value.labels, _shares(value), strict=True):
                total[label] = total.get(label, 0) + box.astype(np.float64)
        if not counts:
            raise BadInput("no box in any training picture: there is nothing to learn")
        labels = sorted(counts)
        return {
            "labels": labels,
            "counts": [counts[label] for label in labels],
            "boxes": [[round(float(at), 4) for at in total[label] / counts[label]] for label in labels],
            "rows": rows,
            "most": most,
        }

    @property
    def labels(self) -> list[str]:
        labels: list[str] = self.state["labels"]
        return labels

    @property
    def num_outputs(self) -> int:
        return len(self.labels)

    @property
    def room(self) -> int:
        """M: boxes that a target has room for. More than any training picture has; of more, the largest are kept."""
        return max(8, int(1.5 * self.state["most"]))

    def encode(self, value: Boxes) -> Tensor:
        """(M, 5) float32: class and box in shares of the picture, padded with class -1."""
        target = torch.full((self.room, 5), -1.0)
        target[:, 1:] = 0.0
        if not value.labels:
            return target
        unknown = next((label for label in value.labels if label not in self.labels), None)
        if unknown is not None:
            raise Unreadable(
                f"label {unknown!r} occurs in no training picture; the labels are {', '.join(self.labels)}"
            )
        rows = np.concatenate([[[self.labels.index(label)] for label in value.labels], _shares(value)], 1)
        area = (rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2])
        rows = rows[np.sort(np.argsort(-area, kind="stable")[: self.room])]
        target[: len(rows)] = torch.from_numpy(rows.astype(np.float32))
        return target

    @classmethod
    def digest(cls, value: Boxes) -> str:
        return content_digest(f"{value.labels} {value.width} {value.height}", value.corners)

    @classmethod
    def facts(cls, value: Boxes) -> dict[str, Any]:
        return {
            "labels": dict(Counter(value.labels)),
            "boxes": len(value.labels),
            "width": value.width,
            "height": value.height,
            "faults": value.faults,
            "areas": [float(area) for area in _areas(value)],
            "doubles": _doubles(value),
        }

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        labels: Counter[str] = Counter()
        for fact in facts:
            labels.update(fact["labels"])
        per_row = [sum(fact["labels"].values()) for fact in facts]
        small = sum(area < 32**2 for fact in facts for area in fact["areas"])
        counts = {"least": min(per_row), "most": max(per_row), "none": per_row.count(0)}
        return {"boxes": dict(labels.most_common()), "boxes in a picture": counts, "smaller than 32 x 32": {"": small}}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = []
        faults = [fault for fact in facts for fault in fact["faults"]]
        if faults:
            message = f"{len(faults)} boxes are not as they should be, e.g. {faults[0]}"
            evidence = {"boxes": faults[:100], "count": len(faults)}
            findings.append(Finding("bad-boxes", "warning", message, evidence, "mend the annotations"))
        doubles = [double for fact in facts for double in fact["doubles"]]
        for check, same, what in (
            ("duplicate-boxes", True, "the same object is boxed twice with one label"),
            ("conflicting-boxes", False, "one object is boxed with two labels"),
        ):
            found = [double for double in doubles if (double[0] == double[1]) is same]
            if found:
                pairs = Counter(" and ".join(sorted(double)) for double in found)
                message = f"{len(found)} pairs of boxes overlap by {SAME_BOX:.0%} or more: {what}"
                findings.append(Finding(check, "warning", message, dict(pairs), "keep one box an object"))
        rare = {label: count for label, count in zip(self.labels, self.state["counts"], strict=True) if count < 10}
        if rare:
            message = f"{len(rare)} labels have fewer than 10 boxes in the training pictures: {', '.join(rare)}"
            findings.append(Finding("rare-classes", "warning", message, rare, "collect more of them, or merge labels"))
        return findings

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        # Over a constant, the mean number of boxes: a batch's own number would make the loss no mean over pictures.
        boxes_in_a_row = max(1.0, sum(self.state["counts"]) / self.state["rows"])
        loss = dense_loss if "places" in outputs else set_loss
        mean: Tensor = loss(outputs, target).mean() / boxes_in_a_row
        return mean

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        finished = self.finish(dict(outputs))
        counts = match_counts(finished, target, self.num_outputs)  # (C, bins, 2): right and wrong by score
        true = (target[..., :1] == torch.arange(self.num_outputs, device=target.device)).sum((0, 1))  # (C,)
        return {"matches": (torch.cat([counts.flatten(), true.to(counts.dtype)]), len(target))}

    def derive(self, means: dict[str, Any]) -> dict[str, float]:
        matches = means.pop("matches")
        return {**means, "map50_binned": average_precision(np.asarray(matches), self.num_outputs)}

    def warp(self, target: Tensor, theta: Tensor) -> Tensor:
        boxes, visible = warp_boxes(target[..., 1:], theta)
        classes = torch.where(visible, target[..., 0], -1.0)
        return torch.cat([classes[..., None], boxes], 2)

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`scores` and `labels` (B, K), `corners` (B, K, 4), by falling score; 0 where there are fewer than K."""
        asked = self.recipe[BoxesSection]
        best, labels = outputs["logits"].float().sigmoid().max(2)  # (B, N)
        scores, order = best.topk(min(CANDIDATES, best.shape[1]), 1)
        labels = labels.gather(1, order)
        corners = outputs["boxes"].float().gather(1, order[..., None].expand(-1, -1, 4)).clamp(0, 1)
        if "places" in outputs:  # places beside each other answer the same object; the queries of a set do not
            scores = torch.where(suppress(corners, labels, asked.max_overlap), scores, torch.zeros_like(scores))
        scores, order = scores.topk(min(asked.max_boxes, scores.shape[1]), 1)
        corners = corners.gather(1, order[..., None].expand(-1, -1, 4))
        return {"scores": scores, "labels": labels.gather(1, order), "corners": corners}

    def difference(self, expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> float:
        """Boxes of equal score may change places: each is compared with the one of its label that it overlaps most."""
        worst = 0.0
        for row in range(len(expected["scores"])):
            for one, other in ((expected, found), (found, expected)):
                worst = max(worst, _unlike(one, other, row))
        return worst

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Of each picture the boxes that count as said."""
        scores, room = outputs["scores"][:, : self.room], self.room
        said = (scores >= SHOWN_SCORE)[..., None]
        labels = torch.where(said, outputs["labels"][:, :room, None].float(), -1.0)
        corners = torch.where(said, outputs["corners"][:, :room].float(), 0.0)
        target = torch.cat([labels, corners], 2)
        spare = torch.tensor([-1.0, 0.0, 0.0, 0.0, 0.0], device=target.device)
        return torch.cat([target, spare.expand(len(target), room - target.shape[1], 5)], 1)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """Scores have four decimals, and boxes of equal score an order of their own: average precision hangs on the
        order, which is not to change where a runtime rounds the seventh decimal otherwise.
        """
        answers = []
        for scores, labels, corners in zip(outputs["scores"], outputs["labels"], outputs["corners"], strict=True):
            said = [
                {"label": self.labels[label], "score": round(float(score), 4), "box": [float(at) for at in box]}
                for score, label, box in zip(scores, labels, corners, strict=True)
                if score >= LEAST_SCORE
            ]
            said.sort(key=lambda box: (-box["score"], box["label"], [round(at, 3) for at in box["box"]]))
            answers.append({"boxes": said})
        return answers

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes]) -> dict[str, float]:
        return coco_scores(predictions, answers, self.labels).figures

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes]
    ) -> dict[str, tuple[float, float]]:
        return score_intervals(predictions, answers, self.labels)

    def baseline(self) -> dict[str, Any]:
        counts: list[int] = self.state["counts"]
        boxes = zip(self.labels, counts, self.state["boxes"], strict=True)
        said = [{"label": label, "score": count / sum(counts), "box": box} for label, count, box in boxes]
        return {"boxes": sorted(said, key=lambda one: -float(one["score"]))}

    def fault(self, prediction: Mapping[str, Any], answer: Boxes) -> float:
        """Boxes missed, and boxes said with confidence where there are none."""
        said = [box for box in prediction["boxes"] if box["score"] >= SHOWN_SCORE]
        right = _num_right(said, answer)
        return float(len(answer.labels) - right + sum(box["score"] for box in said) * (1 - right / max(1, len(said))))

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Boxes]) -> list[Block]:
        return precision_blocks(predictions, answers, self.labels)

    @classmethod
    def stratum(cls, value: Boxes) -> str | None:
        return " ".join(sorted(set(value.labels)))

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        said = Counter(box["label"] for box in prediction["boxes"])
        return ", ".join(f"{count} {label}" for label, count in said.items()) or "nothing"

    def draw_on(self, picture: Image.Image, answer: Boxes | None, prediction: Mapping[str, Any] | None) -> Image.Image:
        """True boxes thin and white, predicted ones in their label's colour with label and score."""
        picture = picture.convert("RGB")
        pen = ImageDraw.Draw(picture)
        thick = 2 + max(picture.size) // 600
        font = ImageFont.load_default(8 + max(picture.size) // 80)
        if answer is not None:
            for box in _shares(answer):
                pen.rectangle(_on(picture, box), outline="white", width=thick)
        for said in prediction["boxes"] if prediction else ():
            colour = COLOURS[self.labels.index(said["label"]) % len(COLOURS)]
            at = _on(picture, np.array(said["box"]))
            pen.rectangle(at, outline=colour, width=thick)
            words = f"{said['label']} {said['score']:.2f}"
            _, _, right, bottom = pen.textbbox((0, 0), words, font=font)
            place = at[0], max(0.0, at[1] - bottom - 2)
            pen.rectangle((*place, place[0] + right + 3, place[1] + bottom + 2), fill=colour)
            pen.text((place[0] + 2, place[1]), words, fill="white", font=font)
        return picture


def _shares(value: Boxes) -> np.ndarray:
    """(N, 4) in shares of the picture's width and height."""
    return value.corners / np.array([value.width, value.height] * 2, dtype=np.float32)


def _areas(value: Boxes) -> np.ndarray:
    sides = value.corners[:, 2:] - value.corners[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def _doubles(value: Boxes) -> list[tuple[str, str]]:
    """Labels of every two boxes that are as good as one."""
    if len(value.labels) < 2:
        return []
    corners = torch.from_numpy(value.corners)[None]
    same = (pairwise_iou(corners, corners)[0] >= SAME_BOX).numpy()
    pairs = combinations(range(len(value.labels)), 2)
    return [(value.labels[i], value.labels[j]) for i, j in pairs if same[i, j]]


def _num_right(said: Sequence[Mapping[str, Any]], answer: Boxes) -> int:
    """Predicted boxes that are a true one of their label, each counted once, at an overlap of one half."""
    if not said or not answer.labels:
        return 0
    predicted = torch.tensor([[box["box"] for box in said]])
    overlap = pairwise_iou(predicted, torch.from_numpy(_shares(answer))[None])[0].numpy().copy()
    right = 0
    for row, box in enumerate(said):
        overlap[row, [label != box["label"] for label in answer.labels]] = 0
        best = int(overlap[row].argmax())
        if overlap[row, best] >= 0.5:
            right += 1
            overlap[:, best] = 0
    return right


def _unlike(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], row: int) -> float:
    """The largest difference of a box of `one` to the box of `other` that is most like it, in score or corners."""
    real = one["scores"][row] >= COMPARED_SCORE
    if not real.any():
        return 0.0
    distance = np.abs(one["corners"][row][real][:, None] - other["corners"][row][None]).max(2)  # (K, K)
    distance = np.maximum(distance, np.abs(one["scores"][row][real][:, None] - other["scores"][row][None]))
    distance = np.where(one["labels"][row][real][:, None] == other["labels"][row][None], distance, 1.0)
    return float(distance.min(1).max())


def _on(picture: Image.Image, box: np.ndarray) -> tuple[float, float, float, float]:
    """A box in shares as pixels of a picture."""
    x1, y1, x2, y2 = (float(at) for at in box)
    width, height = picture.width - 1, picture.height - 1
    return x1 * width, y1 * height, x2 * width, y2 * height
