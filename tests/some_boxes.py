"""Boxes and their kind, for the tests of what is done with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from snowball.kinds.boxes import Boxes, BoxesKind
from snowball.recipe import Recipe
from snowball.registry import tasks

RECIPE = Recipe.build("object-detection", tasks()["object-detection"].section_types())
LABELS = ["cat", "dog", "owl"]


def kind(**keys: Any) -> BoxesKind:
    state = {"labels": LABELS, "counts": [20, 30, 10], "boxes": [[0.2, 0.2, 0.6, 0.6]] * 3, "rows": 30, "most": 4}
    return BoxesKind(RECIPE.replace(keys) if keys else RECIPE, state)


def boxes(*rows: tuple[str, float, float, float, float], width: int = 100, height: int = 50) -> Boxes:
    labels, corners = [row[0] for row in rows], [list(row[1:]) for row in rows]
    return BoxesKind.read({"labels": labels, "boxes": corners, "width": width, "height": height})


def random_boxes(random: torch.Generator, *shape: int, spread: float = 1.0) -> Tensor:
    """Boxes (*shape, 4) in shares; of a small spread they lie over one another."""
    centre = 0.5 + (torch.rand(*shape, 2, generator=random) - 0.5) * spread
    half = 0.02 + 0.2 * torch.rand(*shape, 2, generator=random)
    return torch.cat([centre - half, centre + half], -1)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def outputs(random: torch.Generator, num: int = 3, side: int = 6) -> dict[str, Tensor]:
    """Answers of an untrained network at every place of one grid."""
    at = (torch.arange(side) + 0.5) / side
    x, y = at.repeat(side), at.repeat_interleave(side)
    half = torch.full_like(x, 0.5 / side)
    places = torch.stack([x, y, half, half], 1).expand(num, -1, -1)
    reach = 0.05 + 0.3 * torch.rand(num, side * side, 4, generator=random)
    corners = torch.cat([places[..., :2] - reach[..., :2], places[..., :2] + reach[..., 2:]], 2)
    logits = torch.randn(num, side * side, 3, generator=random) - 2
    return {"logits": logits, "boxes": corners, "places": places}


def some_targets() -> Tensor:
    values = [
        boxes(("cat", 10, 10, 60, 40), ("dog", 50, 5, 90, 45)),
        boxes(("owl", 1, 1, 4, 4)),
        boxes(),
    ]
    return torch.stack([kind().encode(value) for value in values])


def detections(num: int, seed: int = 0) -> tuple[list[dict[str, Any]], list[Boxes]]:
    """Predictions of a so-so detector: jittered, missed, mislabelled and invented boxes."""
    random = np.random.default_rng(seed)
    predictions, answers = [], []
    for _ in range(num):
        said, rows = [], []
        for _ in range(int(random.integers(0, 6))):
            x, y = random.uniform(0, 60), random.uniform(0, 30)
            box = np.array([x, y, x + random.uniform(8, 40), y + random.uniform(6, 20)])
            label = LABELS[int(random.integers(3))]
            rows.append((label, *box.tolist()))
            if random.random() < 0.8:
                jittered = box + random.normal(0, 1.5, 4)
                named = label if random.random() < 0.85 else LABELS[int(random.integers(3))]
                share = np.clip(jittered / [100, 50, 100, 50], 0, 1)
                said.append({"label": named, "score": float(random.beta(4, 2)), "box": share.tolist()})
        for _ in range(int(random.integers(0, 4))):
            x, y = random.uniform(0, 0.6), random.uniform(0, 0.6)
            box = [x, y, x + random.uniform(0.1, 0.4), y + random.uniform(0.1, 0.4)]
            said.append({"label": LABELS[int(random.integers(3))], "score": float(random.beta(2, 4)), "box": box})
        predictions.append({"boxes": sorted(said, key=lambda one: -float(one["score"]))})
        answers.append(boxes(*rows))
    return predictions, answers


def finished(predictions: list[dict[str, Any]], room: int = 12) -> dict[str, Tensor]:
    """Decoded predictions as the tensors that `finish` gives."""
    scores, labels = torch.zeros(len(predictions), room), torch.zeros(len(predictions), room, dtype=torch.long)
    corners = torch.zeros(len(predictions), room, 4)
    for row, prediction in enumerate(predictions):
        for k, said in enumerate(prediction["boxes"]):
            scores[row, k], labels[row, k] = said["score"], LABELS.index(said["label"])
            corners[row, k] = torch.tensor(said["box"])
    return {"scores": scores, "labels": labels, "corners": corners}
