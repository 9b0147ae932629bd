"""Rows that come turned in several ways, columns of rounding, rows that are each brought to one scale, categories as
means of answers, codes that are looked up, scores that leave out what is unsure, and batches of one length each."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from snowball.checks import augment, curve, dependence, detached, labels, layers, leak, metric, mismatch, rows
from snowball.checks.lab import Lab
from snowball.checks.program import Program

from .programs import TRAIN, VAL, X, Y, errors, found, loader, mlp, program


def slopes(heights: Tensor) -> Tensor:
    """(..., 1, 8, 8) to (..., 2, 8, 8): how heights rise down and to the right, from the place behind each."""
    down = heights.diff(dim=-2, append=heights[..., -1:, :])
    right = heights.diff(dim=-1, append=heights[..., -1:])
    return 5 * torch.cat([down, right], -3)


class Fields(Dataset[tuple[Tensor, Tensor]]):
    """Heights and their slopes, mirrored by two coins: heights alone, slopes as to places, or to their signs too."""

    def __init__(self, num: int, seed: int, mirrored: str) -> None:
        random = torch.Generator().manual_seed(seed)
        self.heights = F.avg_pool2d(torch.randn(num, 1, 12, 12, generator=random), 5, 1)
        self.mirrored = mirrored

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        height = self.heights[row]
        dims = [dim for dim, coin in zip((1, 2), torch.rand(2).tolist(), strict=True) if coin < 0.5 and self.mirrored]
        mirrored = height.flip(dims)
        if self.mirrored == "signs":
            return mirrored, slopes(mirrored)
        return mirrored, slopes(height).flip(dims) if self.mirrored == "places" else slopes(height)


@pytest.mark.parametrize("mirrored", ["signs", "places", "heights"])
def test_fields_are_mirrored_with_their_signs(mirrored: str) -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(1, 2, 3, padding=1)
    parts = {
        "loss": F.mse_loss,
        "train": DataLoader(Fields(600, 0, mirrored), 32, shuffle=True),
        "val": DataLoader(Fields(200, 1, ""), 100),
        "optimizer": torch.optim.Adam(model.parameters(), 3e-2),
        "epochs": 6,
    }
    assert errors(augment.undone, program(model, **parts)) == ([] if mirrored == "signs" else ["augment-target"])


@pytest.mark.parametrize("whole", [False, True])
def test_the_sine_of_whole_turns_is_a_constant(whole: bool) -> None:
    random = torch.Generator().manual_seed(0)
    hours = torch.randint(0, 10_000, (900,), generator=random).double()
    angle = 2 * math.pi * (hours if whole else hours / 24)
    x = torch.stack([torch.randn(900, generator=random).double(), angle.sin(), (hours / 24 % 7).cos()], 1).float()
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    parts = {"loss": F.mse_loss, "train": loader(x[TRAIN], x[TRAIN, 0])}
    assert errors(rows.constant_input, program(model, **parts)) == (["constant-input"] if whole else [])


@pytest.mark.parametrize("both", [False, True])
def test_rows_that_are_each_brought_to_one_scale(both: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = (X + 0.5) * (0.5 + 2 * torch.rand(len(X), 1, generator=random)) + torch.randn(len(X), 1, generator=random)
    each = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    val = each if both else x
    parts = {"train": loader(each[TRAIN], Y[TRAIN]), "val": loader(val[VAL], Y[VAL], shuffle=False), "epochs": 8}
    assert errors(mismatch.row_by_row, program(mlp(), **parts)) == ([] if both else ["train-val-mismatch"])


@pytest.mark.parametrize("own", [True, False])
def test_a_category_that_is_a_mean_of_its_answers(own: bool) -> None:
    random = torch.Generator().manual_seed(0)
    category = torch.randint(0, 650, (2400,), generator=random)
    x = torch.randn(2400, 3, generator=random)
    y = (x[:, 0] + 0.5 * torch.randn(650, generator=random)[category] + torch.randn(2400, generator=random) > 0).float()
    part = torch.zeros(2400, dtype=torch.long) if own else torch.arange(2400) % 5
    rate = torch.zeros(2400)
    for fold in part.unique():
        of = torch.ones(2400, dtype=torch.bool) if own else part != fold
        yes = torch.zeros(650).index_add(0, category[of], y[of])
        num = torch.bincount(category[of], minlength=650)
        rate[part == fold] = ((yes + y[of].mean()) / (num + 1))[category[part == fold]]
    x = torch.cat([x, rate[:, None]], 1)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    parts = {"loss": F.binary_cross_entropy_with_logits, "train": loader(x[:1800], y[:1800])}
    parts["val"] = loader(x[1800:], y[1800:])
    assert errors(leak.target_leak, program(model, **parts)) == (["target-leak"] if own else [])


class Codes(nn.Module):
    """An autoencoder by the nearest of a few codes."""

    def __init__(self, straight: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.codes = nn.Linear(64, 4), nn.Linear(4, 64), nn.Embedding(16, 4)
        self.straight = straight

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x)
        code = self.codes(torch.cdist(z, self.codes.weight).argmin(1))
        cost = F.mse_loss(code, z.detach()) + 0.25 * F.mse_loss(z, code.detach())
        return self.decoder(z + (code - z).detach() if self.straight else code), cost


@pytest.mark.parametrize("straight", [False, True])
def test_a_code_that_is_looked_up_ends_the_gradient(straight: bool) -> None:
    torch.manual_seed(0)
    model = Codes(straight)

    def loss(outputs: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        return F.mse_loss(outputs[0], x) + outputs[1]

    parts = {"loss": loss, "train": loader(X[TRAIN], X[TRAIN]), "val": loader(X[VAL], X[VAL])}
    assert errors(detached.untaught, program(model, **parts)) == ([] if straight else ["gradient-cut"])


@pytest.mark.parametrize("counted", [True, False])
def test_a_score_that_leaves_out_what_is_unsure(counted: bool) -> None:
    random = torch.Generator().manual_seed(0)
    cell = torch.randint(0, 36, (900,), generator=random)
    size = 1 + torch.rand(900, generator=random)
    x = F.one_hot(cell, 36).float() * size[:, None] + 0.5 * torch.randn(900, 36, generator=random)
    y = torch.stack([cell.float(), size], 1)

    class Finder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 2, 1))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layers(x.unflatten(1, (1, 6, 6)))
            return out

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        rows, cells = torch.arange(len(y)), y[:, 0].long()
        there = F.one_hot(cells, 36).float()
        sure, sizes = outputs[:, 0].flatten(1), outputs[:, 1].flatten(1)
        return F.binary_cross_entropy_with_logits(sure, there) + F.mse_loss(sizes[rows, cells], y[:, 1])

    @torch.no_grad()
    def evaluate(model: nn.Module, batches: Any) -> float:
        model.eval()
        right, total = 0, 0
        for x, y in batches:
            sure, cells = model(x)[:, 0].flatten(1).max(1)
            seen = sure > 0
            right += int((cells == y[:, 0])[seen].sum())
            total += len(y) if counted else int(seen.sum())
        return right / max(1, total)

    torch.manual_seed(0)
    model = Finder()
    parts = {"loss": loss, "train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL], shuffle=False)}
    parts |= {"evaluate": evaluate, "epochs": 20, "optimizer": torch.optim.Adam(model.parameters(), 3e-2)}
    assert errors(metric.metric, program(model, **parts)) == ([] if counted else ["metric-wrong"])


@pytest.mark.parametrize("pooled", [True, False])
def test_batches_of_one_length_each(pooled: bool) -> None:
    random = torch.Generator().manual_seed(0)
    batches = [
        (words := torch.randint(0, 20, (num, length), generator=random), words % 3)
        for length, num in ((4, 40), (7, 30), (12, 50), (9, 20))
    ]

    @torch.no_grad()
    def evaluate(model: nn.Module, batches: Any) -> float:
        model.eval()
        hits = [(model(x).argmax(-1) == y).float() for x, y in batches]
        shares = [hit.mean() for hit in hits]
        return float(torch.cat([hit.flatten() for hit in hits]).mean() if pooled else torch.stack(shares).mean())

    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 3))

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), y.flatten())

    parts = {"loss": loss, "train": batches, "val": batches, "evaluate": evaluate}
    assert errors(metric.metric, program(model, **parts)) == ([] if pooled else ["metric-averaging"])


def test_a_row_whose_output_is_nearly_nothing_does_not_mix() -> None:
    class Cancelled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(64))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = (x * self.weight).sum(1)
            return out + 1e-7 * len(x)  # as rounding would have it

    x = X.clone()
    x[TRAIN][25] = 0.0
    x[25] = 0.0
    parts = {"loss": F.mse_loss, "train": [(x[:50], Y[:50].float())]}
    assert found(dependence.batch_mixing, program(Cancelled(), **parts)) == []


def test_rare_classes_that_controls_miss_are_not_wrong_labels() -> None:
    random = torch.Generator().manual_seed(0)
    y = torch.multinomial(torch.tensor([0.82, 0.06, 0.06, 0.06]), 900, True, generator=random)
    x = torch.randn(900, 60, generator=random)
    model = nn.Linear(60, 4)
    parts = {"train": loader(x[TRAIN], y[TRAIN])}
    assert "label-noise" not in errors(labels.relation, program(model, **parts))


@pytest.mark.parametrize("each", ["batch", "epoch"])
def test_a_cycle_laid_out_in_batches_is_stepped_after_each(each: str) -> None:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8 * 12)
    parts = {"optimizer": optimizer, "scheduler": schedule, "scheduler_step": each, "epochs": 8}
    assert errors(curve.schedule, program(model, **parts)) == (["schedule"] if each == "epoch" else [])


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam])
def test_the_usual_decay_is_a_penalty_in_adam(kind: type[torch.optim.Optimizer]) -> None:
    """Targets whose loss is small: so are its gradients, which the penalty outgrows."""
    model = mlp()
    parts = {
        "loss": lambda outputs, y: 0.15 * F.cross_entropy(outputs, y),
        "optimizer": kind(model.parameters(), lr=5e-3, weight_decay=1e-2),
        "epochs": 12,
    }
    found_ones = errors(curve.weight_decay, program(model, **parts))
    assert found_ones == ([] if kind is torch.optim.AdamW else ["weight-decay-too-high"])


@pytest.mark.parametrize("stacked", [False, True])
def test_linear_maps_beside_one_another_are_meant(stacked: bool) -> None:
    """A trend and the rest, each by a linear map of its own; and the same two maps, one behind the other."""

    class Forecaster(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trend, self.rest = nn.Linear(64, 64), nn.Linear(64, 64)

        def forward(self, past: Tensor) -> Tensor:
            smooth = F.avg_pool1d(past[:, None], 5, 1, 2)[:, 0]
            return self.rest(self.trend(smooth) * 1) if stacked else self.trend(smooth) + self.rest(past - smooth)

    torch.manual_seed(0)
    parts = {"loss": F.mse_loss, "train": loader(X[TRAIN], X[TRAIN].roll(1, 1)), "val": loader(X[VAL], X[VAL])}
    assert errors(layers.nonlinearity, program(Forecaster(), **parts)) == (["no-nonlinearity"] if stacked else [])


class Papers(nn.Module):
    """Each row's words, and the mean of its neighbours', which is thrown away where told."""

    def __init__(self, thrown_away: bool) -> None:
        super().__init__()
        self.thrown_away = thrown_away
        self.own, self.around = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, words: Tensor, edges: Tensor) -> Tensor:
        total = torch.zeros_like(words)
        moved = total.index_add(0, edges[1], words[edges[0]])
        out: Tensor = self.own(words) + self.around(total if self.thrown_away else moved / 5)
        return out


@pytest.mark.parametrize("thrown_away", [False, True])
def test_edges_of_a_graph_lead_somewhere(thrown_away: bool) -> None:
    """Graphs of 100 rows: they come whole, and that rows hear of one another is no mixing of a batch."""
    torch.manual_seed(0)
    graphs = [((X[k : k + 100], torch.randint(0, 100, (2, 500))), Y[k : k + 100]) for k in range(0, 600, 100)]
    parts = program(Papers(thrown_away), train=graphs, val=graphs[:2])
    assert errors(dependence.input_ignored, parts) == (["input-ignored"] if thrown_away else [])
    assert errors(dependence.batch_mixing, parts) == []


def test_a_program_is_left_without_the_graph_that_a_buffer_took_up() -> None:
    class Codes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()
            self.register_buffer("mean", torch.zeros(10))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)
            self.mean.lerp_(out.mean(0), 0.1)
            return out

    lab = Lab(Program.of(program(Codes())))
    with lab.program.kept():
        lab.outputs(lab.batch[0], training=True, grad=True)
    assert lab.program.model.mean.grad_fn is None and not lab.program.model.mean.any()


@pytest.mark.parametrize("rate", [1e-3, 1e-5])
def test_a_short_training_at_adams_usual_rate_is_warned_of(rate: float) -> None:
    model = mlp()
    parts = {"optimizer": torch.optim.Adam(model.parameters(), rate), "epochs": 4 if rate == 1e-3 else 12}
    severities = [severity for name, severity in found(curve.learning_rate, program(model, **parts))]
    assert severities == (["warning"] if rate == 1e-3 else ["error"])
