"""Label: one of a fixed set of classes. Logits (B, C) out, cross-entropy in, a class with its confidence back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ..answer import Answer
from ..calibration import calibration_bins, expected_calibration_error
from ..finding import BadInput, Finding
from ..kind import Block, Metric, Unreadable
from ..recipe import Recipe, Section

__all__ = ["LabelKind", "LabelSection"]

TOP = 5  # classes named in a prediction


class LabelSection(Section):
    """How labels are trained."""

    key = "label"

    smoothing: float = Field(0.0, ge=0, lt=1)
    """Label smoothing: this share of each target is spread over all classes (Szegedy et al., 2016)."""


class LabelKind(Answer):
    """State: `labels`, the class names, `counts`, the training rows of each, and a temperature if one helps."""

    key = "label"
    sections = (LabelSection,)
    traits: ClassVar[tuple[str, ...]] = ("label",)
    metric: ClassVar[Metric] = Metric("accuracy", "max")

    @classmethod
    def read(cls, cell: Any) -> str:
        text = str(cell).strip() if cell is not None else ""
        if not text:
            raise Unreadable("empty label")
        return text

    @classmethod
    def fit(cls, values: Iterable[str], recipe: Recipe) -> dict[str, Any]:
        counts = Counter(values)
        labels = sorted(counts, key=_natural)
        if len(labels) < 2:
            raise BadInput(
                f"only one class ({labels[0]!r}): a classifier needs at least two"
                if labels
                else "no readable label among the training rows"
            )
        return {"labels": labels, "counts": [counts[label] for label in labels]}

    def __init__(self, recipe: Recipe, state: Mapping[str, Any]) -> None:
        super().__init__(recipe, state)
        self._smoothing = recipe[LabelSection].smoothing
        self._index = {label: i for i, label in enumerate(self.labels)}

    @property
    def labels(self) -> list[str]:
        labels: list[str] = self.state["labels"]
        return labels

    @property
    def num_outputs(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> list[str]:
        return self.labels

    def encode(self, value: str) -> Tensor:
        try:
            return torch.tensor(self._index[value])
        except KeyError:
            raise Unreadable(f"label {value!r} does not occur among the training rows") from None

    @classmethod
    def facts(cls, value: str) -> dict[str, Any]:
        return {"label": value}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        counts = Counter(fact["label"] for fact in facts)
        return {"classes": {label: counts[label] for label in sorted(counts, key=_natural)}}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        counts: dict[str, int] = self.summary(facts)["classes"]
        if len(counts) < 2:
            return []
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        findings = []
        if counts[most] > 10 * counts[least]:
            findings.append(
                Finding(
                    "class-imbalance",
                    "warning",
                    f"{most!r} has {counts[most]} rows and {least!r} {counts[least]}: accuracy will flatter",
                    {"counts": counts},
                    "look at f1 and the per-class table, or collect more of the rare classes",
                )
            )
        rare = sorted(label for label, count in counts.items() if count < 5)
        if rare:
            findings.append(
                Finding(
                    "rare-classes",
                    "warning",
                    f"{len(rare)} classes have fewer than 5 rows: {', '.join(rare[:5])}",
                    {"counts": {label: counts[label] for label in rare[:50]}},
                    "collect more rows, or merge these classes",
                )
            )
        return findings

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        # target: (B,) class numbers, or (B, C) shares after mixup or cutmix
        return F.cross_entropy(outputs["logits"].float(), target, label_smoothing=self._smoothing)

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        wanted = target if target.dim() == 1 else target.argmax(1)
        return {"accuracy": ((outputs["logits"].argmax(1) == wanted).sum(), len(target))}

    def blend(self, target: Tensor, keep: Tensor) -> Tensor:
        shares = F.one_hot(target, self.num_outputs).float()  # (B, C)
        return torch.lerp(shares.roll(1, 0), shares, keep[:, None])

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**outputs, "probabilities": (outputs["logits"].float() / self.temperature).softmax(1)}

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        return outputs["probabilities"].argmax(1)

    def focus(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """Log odds: they still tell answers apart whose probabilities all are 1 for float32."""
        logits = outputs["logits"].double()
        others = logits.masked_fill(F.one_hot(target, self.num_outputs).bool(), -math.inf)
        return (logits.gather(1, target[:, None])[:, 0] - others.logsumexp(1)).mean()

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        probabilities = outputs["probabilities"]  # (B, C)
        top = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        answers = []
        for row, order in zip(probabilities, top, strict=True):
            shares = {self.labels[i]: float(row[i]) for i in order}
            answers.append(
                {"label": self.labels[order[0]], "confidence": float(row[order[0]]), "probabilities": shares}
            )
        return answers

    def proportions(self) -> tuple[str, ...]:
        return ("accuracy",)

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        predicted, actual, confidence = self._arrays(predictions, answers)
        f1 = _per_class(predicted, actual, self.num_outputs)["f1"]
        return {
            "accuracy": float((predicted == actual).mean()),
            "f1": float(np.nanmean(f1)),
            "ece": expected_calibration_error(confidence, predicted == actual),
        }

    def baseline(self) -> dict[str, Any]:
        counts: list[int] = self.state["counts"]
        most = max(range(len(counts)), key=counts.__getitem__)
        return {"label": self.labels[most], "confidence": counts[most] / sum(counts), "probabilities": {}}

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        return 0.0 if prediction["label"] == answer else float(prediction["confidence"])

    def chance_loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> float | None:
        return math.log(self.num_outputs)

    @classmethod
    def stratum(cls, value: Any) -> str | None:
        return str(value)

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        return f"{prediction['label']} ({prediction['confidence']:.1%})"

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        predicted, actual, confidence = self._arrays(predictions, answers)
        confusion = _confusion(predicted, actual, self.num_outputs)
        per_class = _per_class(predicted, actual, self.num_outputs)
        rows = [
            [label, *(_rounded(per_class[name][i]) for name in ("precision", "recall", "f1")), int(confusion[i].sum())]
            for i, label in enumerate(self.labels)
        ]
        counts, mean_confidence, accuracy = calibration_bins(confidence, predicted == actual)
        filled = counts > 0
        calibration = {
            "x": [_rounded(x) for x in mean_confidence[filled]],
            "series": {"accuracy": [_rounded(y) for y in accuracy[filled]]},
            "diagonal": True,
            "x_label": "confidence",
            "y_label": "accuracy",
            "counts": counts[filled].tolist(),
        }
        fitted = "" if self.temperature == 1 else f"; logits are divided by {self.temperature:.3f}"
        return [
            Block("Per class", "table", {"columns": ["class", "precision", "recall", "f1", "rows"], "rows": rows}),
            Block(
                "Confusion",
                "matrix",
                {"labels": self.labels, "values": confusion.tolist()},
                "rows: true class; columns: predicted",
            ),
            Block("Calibration", "lines", calibration, f"a calibrated network's points lie on the diagonal{fitted}"),
        ]

    def _arrays(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predicted classes (N,), true classes (N,) and confidences (N,)."""
        index = self._index
        predicted = np.array([index[prediction["label"]] for prediction in predictions])
        actual = np.array([index[answer] for answer in answers])
        return predicted, actual, np.array([prediction["confidence"] for prediction in predictions])


def _natural(label: str) -> tuple[int, float, str]:
    """Sort 2 before 10, and numbers before words."""
    if label.isdecimal() and len(label) < 16:
        return 0, float(label), label
    return 1, 0.0, label


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _confusion(predicted: np.ndarray, actual: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) counts; row: true class, column: predicted class."""
    flat = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def _per_class(predicted_rows: np.ndarray, actual_rows: np.ndarray, num_classes: int) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, (C,) each; NaN for a class that neither occurs nor is predicted."""
    right = actual_rows[predicted_rows == actual_rows]
    # Counted without the matrix, which of 1,000 classes is 8 MB, and intervals are drawn 500 times.
    hits, actual, predicted = (
        np.bincount(rows, minlength=num_classes) for rows in (right, actual_rows, predicted_rows)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"precision": hits / predicted, "recall": hits / actual, "f1": 2 * hits / (actual + predicted)}
