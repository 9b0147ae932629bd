"""A split as the controls see it: x: (N, D) features of N rows, y: (N,) their answers."""

from __future__ import annotations

from copy import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .control import features
from .lab import Lab
from .nested import leaves
from .sample import Sample

__all__ = ["Rows", "rows_table"]

PIXELS = 4  # of each picture that a control looks at
FEWEST = 30  # rows that tell one control from another, where they differ much


class Rows:
    """A split as the controls see it: x (N, D), y (N,) of classes or numbers."""

    def __init__(self, lab: Lab, sample: Sample) -> None:
        self.x = features(sample.inputs, len(sample))
        self.numbers, self.single = False, True
        self.y: np.ndarray | None = None
        targets = sample.targets
        if isinstance(targets, Tensor) and targets.dim() > 0 and len(targets) == len(sample):
            flat = targets.reshape(len(targets), -1)
            if flat.shape[1] == 1 and lab.answer.form in ("classes", "binary", "numbers", "unknown"):
                whole = not flat.is_floating_point() or bool(
                    (flat == flat.round()).all() and flat.unique().numel() <= 2
                )
                self.numbers = not whole
                self.y = flat[:, 0].numpy().astype(np.float64 if self.numbers else np.int64)
                if not self.numbers and bool((flat.abs() == 1).all()):
                    self.y = (self.y + 1) // 2  # signs, as hinge losses ask
                elif not self.numbers and self.y.min() < 0:
                    self.y = None
            elif flat.is_floating_point() and lab.answer.form == "numbers" and flat.shape[1] <= 8:
                self.numbers = True
                self.y = flat[:, 0].numpy().astype(np.float64)
        if self.y is not None and (len(np.unique(self.y)) < 2 or lab.compares_rows):  # else y says which row is whose
            self.y = None

    @classmethod
    def of_pixels(cls, lab: Lab, sample: Sample) -> Rows | None:
        """Single pixels of pictures whose targets are pictures as large: x is the pixel with its neighbours."""
        inputs = [t for _, t in leaves(sample.inputs) if t.dim() == 4 and t.is_floating_point()]
        targets = sample.targets
        if len(inputs) != 1 or not isinstance(targets, Tensor) or targets.shape[-2:] != inputs[0].shape[-2:]:
            return None
        if lab.answer.form not in ("binary", "classes") or targets.numel() != len(targets) * inputs[0][0, 0].numel():
            return None
        held = cls.__new__(cls)
        random = torch.Generator().manual_seed(0)
        picked = torch.randint(inputs[0][0, 0].numel(), (len(targets), PIXELS), generator=random)
        patches = F.unfold(inputs[0], 3, padding=1).transpose(1, 2)  # (B, H * W, C * 9)
        near = torch.gather(patches, 1, picked[..., None].expand(-1, -1, patches.shape[2]))
        answers = targets.reshape(len(targets), -1)
        if answers.shape[1] != patches.shape[1]:
            return None
        held.x = near.reshape(-1, near.shape[2]).numpy()
        held.y = torch.gather(answers, 1, picked).reshape(-1).numpy().astype(np.int64)
        held.numbers, held.single = False, False
        return held if held.y.min() >= 0 and len(np.unique(held.y)) > 1 else None

    def distinct(self) -> Rows:
        """Each row once: of a row that is there twice, a control may learn one and be asked the other."""
        if self.x is None or self.y is None:
            return self
        _, first = np.unique(np.column_stack([self.x, self.y]), axis=0, return_index=True)
        held = copy(self)
        held.x, held.y = self.x[np.sort(first)], self.y[np.sort(first)]
        return held

    @property
    def usable(self) -> bool:
        return self.x is not None and self.y is not None and len(self.y) >= FEWEST


def rows_table(lab: Lab, which: str) -> Rows:
    held: dict[str, Rows] = lab.__dict__.setdefault("_data_rows", {})
    if which not in held:
        sample = lab.train if which == "train" else lab.val
        assert sample is not None
        held[which] = Rows(lab, sample)
    return held[which]
