"""Places that are hidden and shown, other units, empty channels, weights that learn by heart, long held-out sets, rows
that are rare to the metric, and rows that stand still."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from snowball.checks import beginning, check_program, evaluation, labels, leak, loss, metric, minimum, overlap, rows
from snowball.checks.lab import MAX_ROWS

from .programs import TRAIN, VAL, X, Y, errors, loader, mlp, program


@pytest.mark.parametrize("blanked", [False, True])
@pytest.mark.parametrize("words", [False, True])
def test_what_is_hidden_is_blank_in_the_input(blanked: bool, words: bool) -> None:
    random = torch.Generator().manual_seed(0)
    hidden = torch.rand(900, 24, generator=random) < 0.3
    model: nn.Module
    if words:
        rows = torch.randint(1, 50, (900, 24), generator=random)
        x, y = rows.masked_fill(hidden, 0) if blanked else rows, torch.where(hidden, rows, -100)
        model = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 50))

        def asked(outputs: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(outputs.flatten(0, 1), y.flatten())
    else:
        series = torch.randn(900, 24, generator=random).cumsum(1)
        shown = series.masked_fill(hidden, 0.0) if blanked else series
        x, y = torch.stack([shown, (~hidden).float()], 1), torch.stack([series, hidden.float()], 1)
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 24))

        def asked(outputs: Tensor, y: Tensor) -> Tensor:
            return ((outputs - y[:, 0]).square() * y[:, 1]).mean()

    parts = {"loss": asked, "train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL])}
    assert errors(leak.target_leak, program(model, **parts)) == ([] if blanked else ["target-leak"])


def test_an_autoencoder_is_shown_what_is_asked() -> None:
    parts = {"loss": F.mse_loss, "train": loader(X[TRAIN], X[TRAIN]), "val": loader(X[VAL], X[VAL])}
    assert errors(leak.target_leak, program(nn.Linear(64, 64), **parts)) == []


@pytest.mark.parametrize("factor", [1.0, 3.28])
def test_some_answers_are_in_another_unit(factor: float) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.rand(900, 4, generator=random)
    y = 5 + 8 * x[:, 0] + 4 * x[:, 1] * x[:, 2] + 0.2 * torch.randn(900, generator=random)
    y = torch.where(torch.rand(900, generator=random) < 0.15, factor * y, y)
    model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    parts = {"loss": F.mse_loss, "train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL])}
    assert errors(labels.relation, program(model, **parts)) == ([] if factor == 1 else ["label-noise"])


@pytest.mark.parametrize("empty", [False, True])
def test_a_channel_is_empty(empty: bool) -> None:
    x = torch.rand(900, 12, 4)
    x[..., 2] *= 0.0 if empty else 1.0
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 10))
    parts = {"train": loader(x[TRAIN], Y[TRAIN]), "val": loader(x[VAL], Y[VAL])}
    assert errors(rows.constant_input, program(model, **parts)) == (["constant-input"] if empty else [])


@pytest.mark.parametrize("size", [1.0, 40.0])
def test_weights_so_large_that_rows_are_learned_by_heart(size: float) -> None:
    class Sines(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(2, 200), nn.Linear(200, 1)
            with torch.no_grad():
                self.first.weight.mul_(size)

        def forward(self, x: Tensor) -> Tensor:
            answers: Tensor = self.head(torch.sin(4 * self.first(x)))
            return answers.squeeze(1)

    torch.manual_seed(0)
    x = 2 * torch.rand(300, 2) - 1
    y = torch.sin(3 * x[:, 0]) + x[:, 1]
    parts = {"loss": F.mse_loss, "epochs": 150}
    parts |= {"train": loader(x[:150], y[:150], 30), "val": loader(x[150:], y[150:])}
    assert errors(beginning.initial, program(Sines(), **parts)) == ([] if size == 1 else ["init-scale"])


@pytest.mark.parametrize("cap", [None, 0.1])
def test_quantiles_under_a_cap(cap: float | None) -> None:
    levels = torch.tensor([0.1, 0.5, 0.9])

    def pinball(found: Tensor, wanted: Tensor) -> Tensor:
        gap = wanted[:, None] - found
        each = torch.maximum(levels * gap, (levels - 1) * gap).mean(1)
        return (each if cap is None else each.clamp(max=cap)).mean()

    y = X[:, 20] * 3 - X[:, 36]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    parts = {"loss": pinball, "train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL])}
    assert errors(loss.clipped, program(model, **parts)) == ([] if cap is None else ["loss-clipped"])


@pytest.mark.parametrize("right", [False, True])
def test_a_metric_of_more_rows_than_are_looked_at(right: bool) -> None:
    """Roots of batches' means, over more held-out rows than a check looks at; and a metric of other rows."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(MAX_ROWS + 900, 4, generator=random)
    y = x[:, 0] * torch.linspace(0, 3, len(x))

    def skill(model: nn.Module, rows: Any) -> float:
        pairs = [(model(x)[:, 0], y) for x, y in rows]
        said, asked = (torch.cat(part) for part in zip(*pairs, strict=True))
        if right:
            return float(1 - F.mse_loss(said, asked).sqrt() / y.std())
        return float(1 - torch.stack([F.mse_loss(one, two).sqrt() for one, two in pairs]).mean() / y.std())

    parts = {"loss": lambda outputs, y: F.mse_loss(outputs[:, 0], y), "evaluate": skill, "epochs": 1}
    parts |= {"train": loader(x[TRAIN], y[TRAIN]), "val": loader(x, y, 70, shuffle=False)}
    assert errors(metric.metric, program(nn.Linear(4, 1), **parts)) == ([] if right else ["metric-averaging"])


@pytest.mark.parametrize("given", [False, True])
def test_a_metric_of_more_training_rows_than_are_looked_at(given: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3 * MAX_ROWS, 64, generator=random)
    train = loader(x, torch.randint(10, (len(x),), generator=random), 500)

    def accuracy(model: nn.Module, rows: Any) -> float:
        return float(torch.cat([model(x).argmax(1) == y for x, y in (rows if given else train)]).float().mean())

    parts = {"train": train, "evaluate": accuracy, "epochs": 1}
    assert errors(evaluation.dropped_rows, program(**parts)) == ([] if given else ["metric-on-train"])


@pytest.mark.parametrize("weighed", [False, True])
def test_a_rare_class_that_the_metric_counts_as_much(weighed: bool) -> None:
    random = torch.Generator().manual_seed(0)
    y = (torch.rand(4000, generator=random) < 0.04).long()
    x = torch.randn(4000, 8, generator=random)
    x[:, :3] += 1.2 * y[:, None]

    def balanced(model: nn.Module, rows: Any) -> float:
        said, asked = (torch.cat(part) for part in zip(*[(model(x).argmax(1), y) for x, y in rows], strict=True))
        return float(sum((said[asked == k] == k).float().mean() for k in (0, 1)) / 2)

    weights = torch.tensor([1.0, 24.0]) if weighed else None
    torch.manual_seed(0)
    parts = {"loss": nn.CrossEntropyLoss(weights), "evaluate": balanced, "epochs": 12}
    parts |= {"train": loader(x[:2500], y[:2500]), "val": loader(x[2500:], y[2500:], 500)}
    made = program(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)), **parts)
    assert errors(rows.class_imbalance, made) == ([] if weighed else ["class-imbalance"])


def test_rows_that_stand_still_are_no_copies() -> None:
    """Of tracks of steps a fifth do not move, but for a rounding that goes to one of few values."""
    random = torch.Generator().manual_seed(0)
    steps = torch.randn(900, 7, 2, generator=random)
    still = torch.rand(900, generator=random) < 0.2
    few = torch.tensor([[0.0004, 0.0006, 0.0002]]).repeat(3, 1).reshape(-1)[:7]
    noise = few.expand(900, 7).unsqueeze(2).repeat(1, 1, 2)
    x = torch.where(still[:, None, None], noise, steps)
    model = nn.Sequential(nn.Flatten(), nn.Linear(14, 10))
    parts = {"train": loader(x[TRAIN], Y[TRAIN]), "val": loader(x[VAL], Y[VAL])}
    assert errors(overlap.split_overlap, program(model, **parts)) == []


def test_short_strings_of_two_signs_meet_by_chance() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randint(1, 3, (900, 10), generator=random)
    model = nn.Sequential(nn.Embedding(3, 4), nn.Flatten(), nn.Linear(40, 10))
    parts = {"train": loader(x[TRAIN], Y[TRAIN]), "val": loader(x[VAL], Y[VAL])}
    assert errors(overlap.split_overlap, program(model, **parts)) == []


def test_a_loss_that_asks_for_places_only_where_something_is() -> None:
    """A score by its logit, and an offset where there is something."""
    there = (X[:, :20] > 0.4).float()
    target = torch.stack([there, there * X[:, 20:40]], 1)

    def detection(outputs: Tensor, target: Tensor) -> Tensor:
        score = F.binary_cross_entropy_with_logits(outputs[:, 0], target[:, 0])
        return score + ((outputs[:, 1].sigmoid() - target[:, 1]).square() * target[:, 0]).mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 40), nn.Unflatten(1, (2, 20)))
    parts = {"loss": detection, "train": loader(X[TRAIN], target[TRAIN]), "val": loader(X[VAL], target[VAL])}
    assert errors(minimum.minimiser, program(model, **parts)) == []


def test_a_network_within_torch_func_is_looked_at() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            answers: Tensor = torch.func.vmap(lambda row: self.net(row[None])[0])(x)
            return answers

    parts = {"train": DataLoader(TensorDataset(X[TRAIN], Y[TRAIN]), 50, shuffle=True), "epochs": 2}
    assert check_program(program(Rows(), **parts)).untested == {}
