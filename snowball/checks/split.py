"""A split as the controls see it: x: (N, D) features of N rows, y: (N,) their answers."""

from __future__ import annotations

from collections.abc import Sized
from copy import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .control import MOST_ROWS, features
from .lab import Lab
from .nested import leaves
from .sample import Sample

__all__ = ["Rows", "in_groups", "in_order", "rows_table", "too_near"]

PIXELS = 4  # of each picture that a control looks at
PLACES = 100  # neighbours by which distances are judged
FEWEST = 30  # rows that tell one control from another, where they differ much


class Rows:
    """A split as the controls see it: x (N, D), y (N,) of classes or numbers."""

    def __init__(self, lab: Lab, sample: Sample, most: int = 8) -> None:
        """`most`: numbers of a target, of which the first is the answer here."""
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
            elif flat.is_floating_point() and lab.answer.form == "numbers" and flat.shape[1] <= most:
                self.numbers = True
                self.y = flat[:, 0].numpy().astype(np.float64)
        if self.y is None:
            return
        kinds = len(np.unique(self.y))
        names_rows = lab.compares_rows or (not self.numbers and 3 * kinds > len(self.y))  # y says which row is whose
        if kinds < 2 or names_rows:
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
        """Each row once, in random order: of a row that is there twice, a control may learn one and be asked the other.

        Controls look at the first rows, which may all be of one class.
        """
        if self.x is None or self.y is None:
            return self
        _, first = np.unique(np.column_stack([self.x, self.y]), axis=0, return_index=True)
        held = copy(self)
        order = np.random.default_rng(0).permutation(np.sort(first))
        held.x, held.y = self.x[order], self.y[order]
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


def too_near(one: Tensor, two: Tensor) -> tuple[float, Tensor]:
    """How near the nearest of `one` (N, D) is to rows of `two`, beside where distances would begin that grow as those
    from the 10th to the 100th do (as k to the power of 1 / dimensions); and which are nearest, (M, 100).

    Far below 1 where rows come a few of one origin, such as visits of a patient.
    """
    near, found = torch.cdist(two, one).topk(PLACES, 1, largest=False)
    return _beginning(near), found


def in_groups(table: np.ndarray) -> bool:
    """Whether rows (N, D) come a few of one origin, so that a row is answered from others of its own."""
    if len(table) < 3 * PLACES or table.shape[1] < 4:
        return False
    rows = torch.from_numpy(table[:1000]).float()
    rows = rows / rows.std(0).clamp(min=1e-6) if rows.shape[1] < 64 else rows
    near = torch.cdist(rows, rows).topk(PLACES + 1, 1, largest=False).values[:, 1:]  # the first is the row itself
    return 0 < _beginning(near) < 0.7


def _beginning(near: Tensor) -> float:
    """The first of sorted distances (N, PLACES), as a share of what the others let expect."""
    first, tenth, last = (float(near[:, k].median()) for k in (0, 9, near.shape[1] - 1))
    return first / (tenth * tenth / last) if 0 < tenth < last else 1.0


def in_order(lab: Lab) -> tuple[Tensor, Tensor] | None:
    """(inputs, (N,) answers) of the training rows as the data set has them; None where they are of another make."""
    if "_in_order" not in lab.__dict__:
        lab.__dict__["_in_order"] = _read_in_order(lab)
    found: tuple[Tensor, Tensor] | None = lab.__dict__["_in_order"]
    return found


def _read_in_order(lab: Lab) -> tuple[Tensor, Tensor] | None:
    dataset = getattr(lab.program.train, "dataset", None)
    if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__") or len(dataset) < 60:
        return None
    try:
        with lab.program.kept(seed=0):
            held = [dataset[place] for place in range(min(len(dataset), MOST_ROWS))]
        x = torch.stack([torch.as_tensor(row[0]) for row in held])
        return x, torch.stack([torch.as_tensor(row[1]).reshape(-1)[0] for row in held])
    except Exception:  # the program's own data set, of which rows may be of any make
        return None
