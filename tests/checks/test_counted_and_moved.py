"""Counts, densities, copies that begin later, steps behind an evaluation: what is a bug in them, and what is not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snowball.checks import curve, learning, loss, metric, minimum, overlap, stepping

from .programs import TRAIN, VAL, X, errors, loader, mlp, program


def counts(end: nn.Module, log_input: bool, most: float) -> dict[str, Any]:
    """How many of something there are, up to about `most`, by a network of rates or of their logarithms."""
    torch.manual_seed(0)
    y = torch.poisson(most * X[:, 20:30].mean(1) ** 3, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0), end)

    @torch.no_grad()
    def r2(model: nn.Module, batches: Any) -> float:
        said = torch.cat([model(x).exp() if log_input else model(x) for x, _ in batches])
        true = torch.cat([y for _, y in batches])
        return float(1 - (said - true).square().mean() / true.var())

    parts = {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL], 64, shuffle=False)}
    return program(model, loss=nn.PoissonNLLLoss(log_input=log_input), evaluate=r2, **parts)


@pytest.mark.parametrize("most", [20.0, 800.0])
def test_counts_by_their_logarithms(most: float) -> None:
    parts = counts(nn.Identity(), True, most)
    assert errors(minimum.minimiser, parts) == []
    assert errors(metric.metric, parts) == []


def test_rates_under_a_loss_that_takes_logarithms() -> None:
    assert errors(minimum.minimiser, counts(nn.Softplus(), True, 50.0)) == ["loss-input"]
    assert errors(minimum.minimiser, counts(nn.Softplus(), False, 50.0)) == []


@pytest.mark.parametrize(("least", "wanted"), [(None, []), (0.0, ["loss-clipped"])])
def test_a_density_that_is_cut_off(least: float | None, wanted: list[str]) -> None:
    torch.manual_seed(0)
    y = X[:, 20:30].mean(1)

    def nll(outputs: Tensor, targets: Tensor) -> Tensor:
        mean, log_variance = outputs.unbind(1)
        each = 0.5 * (math.log(2 * math.pi) + log_variance + (targets - mean) ** 2 * (-log_variance).exp())
        return (each if least is None else each.clamp(min=least)).mean()

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2))
    parts = {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL], 64, shuffle=False)}
    assert errors(loss.clipped, program(model, loss=nll, **parts)) == wanted


def recordings(before: bool) -> dict[str, Any]:
    """Sequences of which copies that begin up to 3 steps later were made, before the split or behind it."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(240, 43, 8, generator=random)
    kinds = torch.arange(240) % 4
    own = torch.randperm(240, generator=random)
    copies, labels, origins = [], [], []
    for _ in range(4):
        late = torch.randint(0, 4, (240,), generator=random)
        moved = torch.stack([row[n : n + 40] for row, n in zip(rows, late.tolist(), strict=True)])
        copies.append(moved + 0.1 * torch.randn(moved.shape, generator=random))
        labels.append(kinds)
        origins.append(torch.arange(240))
    x, y, origin = torch.cat(copies), torch.cat(labels), torch.cat(origins)
    held = torch.rand(len(x), generator=random) < 0.25 if before else torch.isin(origin, own[:60])
    model = nn.Sequential(nn.Flatten(), nn.Linear(320, 16), nn.ReLU(), nn.Linear(16, 4))
    parts = {"train": loader(x[~held], y[~held]), "val": loader(x[held], y[held], 64, shuffle=False)}
    return program(model, **parts)


def test_copies_that_begin_a_little_later() -> None:
    assert errors(overlap.split_overlap, recordings(before=True)) == ["split-overlap"]
    assert errors(overlap.split_overlap, recordings(before=False)) == []


@pytest.mark.parametrize(("where", "wanted"), [("nowhere", ["eval-mode"]), ("step", []), ("evaluation", [])])
def test_a_step_behind_an_evaluation(where: str, wanted: list[str]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 10))

    def train_step(model: nn.Module, batch: Any, optimizer: Any) -> Tensor:
        if where == "step":
            model.train()
        optimizer.zero_grad()
        value = F.cross_entropy(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value

    @torch.no_grad()
    def accuracy(model: nn.Module, batches: Any) -> float:
        model.eval()
        right = torch.cat([model(x).argmax(1) == y for x, y in batches]).float().mean()
        if where == "evaluation":
            model.train()
        return float(right)

    assert errors(stepping.step, program(model, train_step=train_step, evaluate=accuracy)) == wanted


@pytest.mark.parametrize(("each", "wanted"), [("epoch", ["schedule"]), ("batch", [])])
def test_a_warm_up_that_is_counted_in_batches(each: str, wanted: list[str]) -> None:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    steps, warm = 6 * 12, 20

    def factor(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    parts = program(model, optimizer=optimizer, scheduler=schedule, scheduler_step=each, epochs=6)
    assert errors(curve.schedule, parts) == wanted


def test_what_no_optimiser_holds_is_not_one_unit_wide() -> None:
    class Offsets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset = nn.Embedding(10, 1)
            nn.init.zeros_(self.offset.weight)
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + self.offset(torch.arange(10)).T

    model = Offsets()
    assert errors(learning.symmetry, program(model, optimizer=torch.optim.Adam(model.net.parameters(), 5e-3))) == []
