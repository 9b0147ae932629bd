"""Columns that are filled in once the answer is known, masks that are given and not used, paths that are turned alone,
and weight decay within an adaptive step."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from snowball.checks import curve, labels, leak, padding

from .programs import TRAIN, VAL, X, Y, errors, loader, program


@pytest.mark.parametrize("known_before", [False, True])
def test_a_column_that_is_filled_in_after_the_answer(known_before: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(900, 5, generator=random)
    y = (x[:, 0] + x[:, 1] + torch.randn(900, generator=random) > 0).float()
    chance = 0.25 if known_before else 0.03  # of a fee where the answer is no
    filled = torch.rand(900, generator=random) < torch.where(y > 0, 0.85, chance)
    x = torch.cat([x, (filled * (20 + 60 * torch.rand(900, generator=random)))[:, None]], 1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    parts = {"loss": F.binary_cross_entropy_with_logits, "train": loader(x[TRAIN], y[TRAIN])}
    assert errors(leak.target_leak, program(model, **parts)) == ([] if known_before else ["target-leak"])


class Pooled(nn.Module):
    """Attention over the entries of a set, told which of them are real."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.score, self.entry, self.last = nn.Linear(4, 1), nn.Linear(4, 16), nn.Linear(16, 1)
        self.masked = masked

    def forward(self, entries: Tensor, real: Tensor) -> Tensor:
        score = self.score(entries)[..., 0]
        score = score.masked_fill(~real, -math.inf) if self.masked else score
        pooled = torch.einsum("bn,bnd->bd", score.softmax(1), self.entry(entries).relu())
        out: Tensor = self.last(pooled)[:, 0]
        return out


@pytest.mark.parametrize("masked", [False, True])
def test_a_mask_that_is_given_is_used(masked: bool) -> None:
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 30, (900,), generator=random)
    real = torch.arange(30) < lengths[:, None]
    entries = torch.randn(900, 30, 4, generator=random) * real[..., None]
    y = entries.sum(1)[:, 0] / lengths
    rows = [((entries[row], real[row]), y[row]) for row in range(900)]
    torch.manual_seed(0)
    parts = {"loss": F.mse_loss, "train": DataLoader(rows[:600], 32), "val": DataLoader(rows[600:], 100)}
    found = errors(padding.padding_leak, program(Pooled(masked), **parts))
    assert found == ([] if masked else ["padding-leak"])


class Walks(Dataset[tuple[Tensor, Tensor]]):
    """Steps that are seen and steps ahead, (8, 2) each, turned at random: both, or what is seen alone."""

    def __init__(self, num: int, seed: int, turned: str) -> None:
        random = torch.Generator().manual_seed(seed)
        ways = torch.randn(num, 1, 2, generator=random) + torch.tensor([1.0, 0.0])
        self.steps = ways + 0.1 * torch.randn(num, 16, 2, generator=random)
        self.turned = turned

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        seen, ahead = self.steps[row, :8], self.steps[row, 8:]
        if self.turned:
            angle = 2 * math.pi * torch.rand(())
            turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
            seen, ahead = seen @ turn, ahead @ turn if self.turned == "both" else ahead
        return seen, ahead


@pytest.mark.parametrize("turned", ["both", "seen"])
def test_paths_are_turned_with_what_lies_ahead(turned: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Unflatten(1, (8, 2)))
    parts = {
        "loss": F.mse_loss,
        "train": DataLoader(Walks(900, 0, turned), 32),
        "val": DataLoader(Walks(400, 1, ""), 100),
    }
    found = errors(labels.relation, program(model, **parts))
    assert found == ([] if turned == "both" else ["augment-target"])


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_a_decay_that_becomes_part_of_an_adaptive_step(kind: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = kind(model.parameters(), lr=3e-3, weight_decay=0.08)
    parts = {"loss": F.cross_entropy, "train": loader(X[TRAIN], Y[TRAIN]), "val": loader(X[VAL], Y[VAL])}
    found = errors(curve.weight_decay, program(model, optimizer=optimizer, epochs=12, **parts))
    assert found == (["weight-decay-too-high"] if kind is torch.optim.Adam else [])
