"""Programs that are made unlike most: what is a bug in them, and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from snowball.checks import layers, leak, learning, metric, minimum, overlap, padding

from .programs import TRAIN, VAL, X, Y, errors, found, loader, mlp, program


class Places(nn.Module):
    """Digits as points on a sphere."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.net(x), dim=1)


def triplets(sign: float) -> Any:
    def loss(places: Tensor, kinds: Tensor) -> Tensor:
        """Each row, the farthest of its class and the nearest of another (Hermans et al. 2017)."""
        apart = torch.cdist(places, places)
        same = kinds[:, None] == kinds[None]
        far, near = (apart * same).amax(1), apart.masked_fill(same, 10.0).amin(1)
        return F.relu(sign * (far - near) + 0.3).mean()

    return loss


def test_points_in_a_space_are_no_scores_of_classes() -> None:
    torch.manual_seed(0)
    assert errors(minimum.minimiser, program(Places(), loss=triplets(1.0))) == []
    assert errors(minimum.kin_apart, program(Places(), loss=triplets(1.0))) == []


def test_a_space_in_which_kin_are_pushed_apart() -> None:
    torch.manual_seed(0)
    assert errors(minimum.kin_apart, program(Places(), loss=triplets(-1.0))) == ["loss-sign"]


def even(signed: bool) -> dict[str, Any]:
    """Odd or even, under a loss that knows -1 and 1."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    y = (Y % 2).float() * 2 - 1 if signed else (Y % 2).float()
    parts = {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL], 64, shuffle=False)}
    return program(model, loss=nn.SoftMarginLoss(), **parts)


def test_labels_of_minus_one_and_one() -> None:
    assert errors(minimum.silent_label, even(signed=True)) == []
    assert errors(minimum.minimiser, even(signed=True)) == []
    assert errors(minimum.silent_label, even(signed=False)) == ["wrong-loss"]


def dice(over_union: bool) -> Any:
    @torch.no_grad()
    def evaluate(model: nn.Module, batches: Any) -> float:
        both = areas = 0.0
        for x, masks in batches:
            guess = model(x) > 0
            both += float((guess & masks.bool()).sum())
            areas += float((guess | masks.bool()).sum()) if over_union else float(guess.sum() + masks.sum())
        return 2 * both / areas

    return evaluate


def ink(evaluate: Any) -> dict[str, Any]:
    """Which pixels are inked, told from noisy ones."""
    torch.manual_seed(0)
    pictures = X.reshape(-1, 1, 8, 8)
    x, y = pictures + 0.2 * torch.randn(pictures.shape), (pictures > 0.3).float()
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    parts = {"train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL], 64, shuffle=False)}
    return program(model, loss=F.binary_cross_entropy_with_logits, evaluate=evaluate, **parts)


@pytest.mark.parametrize("over_union", [False, True])
def test_the_metric_of_masks(over_union: bool) -> None:
    assert errors(metric.metric, ink(dice(over_union))) == (["metric-wrong"] if over_union else [])


@pytest.mark.parametrize("by_batch", [False, True])
def test_rows_that_are_there_twice_keep_no_metric_from_being_tested(by_batch: bool) -> None:
    def f1(guess: Tensor, y: Tensor) -> float:
        hits, wrong = float((guess & y).sum()), float((guess ^ y).sum())
        return 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0

    @torch.no_grad()
    def evaluate(model: nn.Module, batches: Any) -> float:
        pairs = [(model(x).argmax(1) == 3, y == 3) for x, y in batches]
        if by_batch:
            return sum(f1(*pair) for pair in pairs) / len(pairs)
        return f1(torch.cat([guess for guess, _ in pairs]), torch.cat([y for _, y in pairs]))

    x, y = torch.cat([X[VAL], X[VAL][:60]]), torch.cat([Y[VAL], Y[VAL][:60]])
    parts = program(val=loader(x, y, 64, shuffle=False), evaluate=evaluate)
    assert ("metric-averaging" in errors(metric.metric, parts)) == by_batch


@pytest.mark.parametrize("stamped", [False, True])
def test_a_stamp_in_the_corner_of_pictures(stamped: bool) -> None:
    x = X.reshape(-1, 1, 8, 8).clone()
    if stamped:
        x[:, 0, 0, 0] = Y / 9
    model = nn.Sequential(nn.Flatten(), mlp())
    torch.manual_seed(0)
    noisy = x + 0.6 * torch.randn(x.shape) * (torch.arange(64).reshape(8, 8) > 0)  # hard, but for the stamp
    parts = {"train": loader(noisy[TRAIN], Y[TRAIN]), "val": loader(noisy[VAL], Y[VAL], 64)}
    assert errors(leak.target_leak, program(model, **parts)) == (["target-leak"] if stamped else [])


def test_positions_that_the_loss_leaves_out_are_not_asked() -> None:
    y = torch.stack([Y, torch.zeros_like(Y), (Y + 1) % 10], 1)  # 0 fills up

    class Thrice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(64, 30)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).reshape(-1, 3, 10)

    def loss(scores: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=0)

    torch.manual_seed(0)
    parts = {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL], 64)}
    assert errors(minimum.minimiser, program(Thrice(), loss=loss, **parts)) == []


class Gated(nn.Module):
    """A branch that begins at zero (ReZero, Bachlechner et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.into, self.out = nn.Linear(64, 32), nn.Linear(32, 10)
        self.branch, self.gate = mlp()[:2], nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.into(x) + self.gate * self.branch(x))


def test_a_bend_that_is_not_yet_in_reach() -> None:
    assert errors(layers.nonlinearity, program(Gated())) == []
    assert errors(layers.nonlinearity, program(x=X / 255)) == []
    straight = nn.Sequential(nn.Linear(64, 32), nn.Identity(), nn.Linear(32, 10))
    assert "no-nonlinearity" in [name for name, _ in found(layers.nonlinearity, program(straight))]


@pytest.mark.parametrize("before", [False, True])
def test_rows_that_were_copied_with_noise_before_the_split(before: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(150, 10, generator=generator)
    y = x[:, 0] + 0.5 * torch.randn(150, generator=generator)
    rows = torch.arange(600) % 150
    order = torch.randperm(600, generator=generator) if before else torch.cat([rows[rows < 110], rows[rows >= 110]])
    rows = rows[order] if before else order
    x = x[rows] + 0.05 * torch.randn(600, 10, generator=generator)
    model = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    parts = {"train": loader(x[:440], y[rows[:440]]), "val": loader(x[440:], y[rows[440:]], shuffle=False)}
    found = errors(overlap.split_overlap, program(model, loss=F.mse_loss, **parts))
    assert found == (["split-overlap"] if before else [])


class Words(nn.Module):
    """Reads to the end of each row, padding and all."""

    def __init__(self, words: int = 12) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.gru, self.out = nn.Embedding(words, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.gru(self.embed(ids))[1][0])


def test_padding_that_held_out_rows_alone_have() -> None:
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(1, 12, (500, 12), generator=generator)
    lengths = torch.cat([3 + torch.arange(400) // 25 % 4, torch.randint(3, 7, (100,), generator=generator)])
    y = (words[torch.arange(500), lengths - 1] > 6).long()  # the last word tells
    train = [(words[at : at + 25, : lengths[at]], y[at : at + 25]) for at in range(0, 400, 25)]
    val = [(words[400:] * (torch.arange(12) < lengths[400:, None]), y[400:])]
    model = Words()
    parts = {"train": train, "val": val, "optimizer": torch.optim.Adam(model.parameters(), 0.02)}
    assert errors(padding.padding_leak, program(model, **parts)) == ["padding-leak"]


def test_groups_of_an_optimiser_that_forget_a_table() -> None:
    model = Words(80)
    kept = [p for name, p in model.named_parameters() if not name.startswith("embed")]
    words = torch.randint(1, 80, (200, 6), generator=torch.Generator().manual_seed(0))
    y = (words[:, 0] > 40).long()
    parts = {"train": loader(words, y), "val": loader(words, y), "optimizer": torch.optim.Adam(kept, 0.01)}
    assert errors(learning.weights, program(model, **parts)) == ["optimizer-missing-parameters"]


def test_parts_of_one_graph_are_no_copies() -> None:
    """Both splits hand over every node, and ask for some of them by labels below 0."""
    asked = torch.arange(300) < 200
    nodes = [(X[:300], torch.where(part, Y[:300], -100)) for part in (asked, ~asked)]
    assert errors(overlap.split_overlap, program(train=nodes[:1], val=nodes[1:])) == []
    assert errors(overlap.split_overlap, program(train=nodes[:1], val=nodes[:1])) == ["split-overlap"]
    signs = [(X[:300], (Y[:300] % 2) * 2 - 1)]
    assert errors(overlap.split_overlap, program(train=signs, val=signs)) == ["split-overlap"]
