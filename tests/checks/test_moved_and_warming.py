"""Rows that are moved, warm-ups that outlast the training, layers nothing hangs on, and columns that are looked up."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from snowball.checks import augment, curve, layers, rows
from snowball.checks.lab import Lab
from snowball.checks.program import Program

from .programs import TRAIN, VAL, X, errors, found, loader, program


class Bursts(Dataset[tuple[Tensor, Tensor]]):
    """Noise of 64 places with a burst, and where it is; moved at random, and louder or softer."""

    def __init__(self, num: int, seed: int, moves: str) -> None:
        random = torch.Generator().manual_seed(seed)
        begin = torch.randint(16, 40, (num, 1), generator=random)
        self.inside = ((torch.arange(64) >= begin) & (torch.arange(64) < begin + 8)).float()
        self.sounds = (self.inside + 0.3) * torch.randn(num, 64, generator=random)
        self.moves = moves

    def __len__(self) -> int:
        return len(self.sounds)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        sound, inside = self.sounds[row][None], self.inside[row]
        if not self.moves:
            return sound, inside
        by = int(torch.randint(-12, 13, ()))
        sound = sound.roll(by, 1) * (0.8 + 0.4 * torch.rand(()))
        return sound, inside.roll(by) if self.moves == "both" else inside


@pytest.mark.parametrize("moves", ["sound", "both", ""])
def test_sounds_are_moved_and_their_masks_with_them(moves: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(1, 16, 9, padding=4), nn.ReLU(), nn.Conv1d(16, 1, 9, padding=4), nn.Flatten())
    parts = {
        "loss": F.binary_cross_entropy_with_logits,
        "train": DataLoader(Bursts(600, 0, moves), 32, shuffle=True),
        "val": DataLoader(Bursts(200, 1, ""), 100),
        "optimizer": torch.optim.Adam(model.parameters(), 1e-2),
        "epochs": 6,
    }
    assert errors(augment.undone, program(model, **parts)) == (["augment-target"] if moves == "sound" else [])


@pytest.mark.parametrize(("length", "wanted"), [("rows", ["schedule"]), ("batches", []), ("paper", [])])
def test_a_warm_up_ends_within_the_training(length: str, wanted: list[str]) -> None:
    """Its length is counted in rows, or in batches; or the rate of 1 is made small by a factor that still rises."""
    parts = program()
    paper = length == "paper"
    optimizer = torch.optim.Adam(parts["model"].parameters(), 1.0 if paper else 3e-3)
    steps = parts["epochs"] * (600 if length == "rows" else len(parts["train"]))
    warm = max(1, steps // 3)

    def factor(step: int) -> float:
        if paper:
            return 64**-0.5 * min((step + 1) ** -0.5, (step + 1) * 1000**-1.5)
        return (step + 1) / warm if step < warm else max(0.0, (steps - step) / (steps - warm))

    parts |= {"optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor)}
    assert errors(curve.schedule, {**parts, "scheduler_step": "batch"}) == wanted


class Stack(nn.Module):
    """Three layers beside a running sum, of which the last one's own result is thrown away."""

    def __init__(self, *, dead: bool) -> None:
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(64, 64) for _ in range(3))
        self.sums = nn.ModuleList(nn.Linear(64, 10) for _ in range(3))
        if dead:
            nn.init.constant_(self.own[0].bias, -100.0)

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x), 10)
        for own, part in zip(self.own, self.sums, strict=True):
            total = total + part(x)
            x = F.relu(own(x))
        return total


@pytest.mark.parametrize("dead", [True, False])
def test_a_layer_that_nothing_hangs_on_is_not_dead(dead: bool) -> None:
    torch.manual_seed(0)
    assert errors(layers.dead_units, program(Stack(dead=dead))) == (["dead-units"] if dead else [])


class Looked(nn.Module):
    """Looks the first column up; the others are numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.first, self.last = nn.Embedding(300, 8), nn.Linear(10, 16), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        known = self.table(x[:, 0].long())
        return self.last(torch.relu(self.first(torch.cat([known, x[:, 1:]], 1)))).flatten()


def test_numbers_that_are_looked_up_are_not_stretched() -> None:
    torch.manual_seed(0)
    who = torch.randint(300, (900, 1)).float()
    x = torch.cat([who, X[:900, 20:22]], 1)
    y = X[:900, 20] + who[:, 0] / 300
    parts = {"loss": F.mse_loss, "train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL])}
    parts = program(Looked(), **parts)
    for check in (layers.nonlinearity, rows.input_scale):
        assert found(check, parts) == []
    with pytest.raises(IndexError):  # what they met
        Lab(Program.of(parts)).program.model(3 * x)
