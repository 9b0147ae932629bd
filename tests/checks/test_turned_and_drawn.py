"""Rows that are turned, other words on one side, gradients that end where something is drawn, shares, and metrics that
say much of nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from snowball.checks import (
    augment,
    check_program,
    curve,
    detached,
    labels,
    leak,
    learning,
    loss,
    metric,
    minimum,
    mismatch,
    padding,
    stepping,
)
from snowball.checks.experiment import Outcome
from snowball.checks.lab import Lab
from snowball.checks.program import Program

from .programs import TRAIN, VAL, X, Y, errors, found, loader, mlp, program


class Dots(Dataset[tuple[Tensor, Tensor]]):
    """Pictures of one bright dot and its column, -1 to 1, of which some are mirrored."""

    def __init__(self, follows: bool) -> None:
        random = torch.Generator().manual_seed(0)
        self.columns, self.follows = torch.randint(12, (600,), generator=random), follows
        self.pictures = 0.1 * torch.randn(600, 12, 12, generator=random)
        self.pictures[torch.arange(600), torch.randint(12, (600,), generator=random), self.columns] += 2

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        picture, column = self.pictures[row], self.columns[row] / 5.5 - 1
        if torch.rand(()) < 0.4:
            return picture.flip(1), -column if self.follows else column
        return picture, column


@pytest.mark.parametrize("follows", [False, True])
def test_pictures_are_mirrored_and_their_places_are_not(follows: bool) -> None:
    torch.manual_seed(0)
    dots = Dots(follows)
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 1), nn.Flatten(0))
    parts = {
        "loss": F.mse_loss,
        "train": DataLoader(dots, 20, shuffle=True),
        "val": loader(dots.pictures[:200], dots.columns[:200] / 5.5 - 1),
        "epochs": 8,
    }
    assert errors(augment.undone, program(model, **parts)) == ([] if follows else ["augment-target"])


@pytest.mark.parametrize("axis", [2, 3, None])
def test_held_out_pictures_the_other_way_round(axis: int | None) -> None:
    torch.manual_seed(0)
    x = X.reshape(-1, 1, 8, 8)
    held = x[VAL] if axis is None else x[VAL].flip(axis)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    parts = {"train": loader(x[TRAIN], Y[TRAIN]), "val": loader(held, Y[VAL], 64), "epochs": 12}
    assert errors(mismatch.other_order, program(model, **parts)) == ([] if axis is None else ["train-val-mismatch"])


def test_held_out_pictures_with_their_channels_in_another_order() -> None:
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    y = torch.randint(3, (900,), generator=random)
    x = 0.3 * torch.randn(900, 3, 6, 6, generator=random) + F.one_hot(y, 3)[:, :, None, None]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3))
    for held, said in ((x[VAL], []), (x[VAL].flip(1), ["train-val-mismatch"])):
        parts = {"train": loader(x[TRAIN], y[TRAIN]), "val": loader(held, y[VAL])}
        assert errors(mismatch.other_order, program(model, **parts)) == said


@pytest.mark.parametrize("folded", [False, True])
def test_words_of_one_split_are_folded(folded: bool) -> None:
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    y = torch.randint(4, (900,), generator=random)
    words = torch.randint(100, 400, (900, 6), generator=random)
    words[:, 0] = 10 + y  # the first word tells the class
    held = words[VAL].clone()
    held[:, 0] += 20 if folded else 0
    model = nn.Sequential(nn.EmbeddingBag(400, 16), nn.Linear(16, 4))
    parts = {"train": loader(words[TRAIN], y[TRAIN]), "val": loader(held, y[VAL]), "epochs": 20}
    assert errors(mismatch.other_words, program(model, **parts)) == (["train-val-mismatch"] if folded else [])


class Latent(nn.Module):
    """An autoencoder whose code is drawn from a normal distribution."""

    def __init__(self, passes: bool) -> None:
        super().__init__()
        self.passes = passes
        self.encoder, self.decoder = nn.Linear(64, 16), nn.Linear(8, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log = self.encoder(x).chunk(2, 1)
        code = torch.distributions.Normal(mean, log.exp())
        drawn = mean if not self.training else code.rsample() if self.passes else code.sample()
        return self.decoder(drawn), mean.square() + (2 * log).exp() - 2 * log


@pytest.mark.parametrize("passes", [False, True])
def test_a_code_is_drawn_without_its_gradient(passes: bool) -> None:
    def bound(outputs: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
        return 20 * F.mse_loss(outputs[0], x) + 1e-3 * outputs[1].mean()

    torch.manual_seed(0)
    parts = {"loss": bound, "train": loader(X[TRAIN], X[TRAIN]), "val": loader(X[VAL], X[VAL]), "epochs": 10}
    assert errors(detached.cut_where_drawn, program(Latent(passes), **parts)) == ([] if passes else ["gradient-cut"])


class Slope(nn.Module):
    """An energy of places, and the force on them."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.keeps, self.net = keeps, nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, places: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            places = places.detach().requires_grad_()
            energy = self.net(places)
            (slope,) = torch.autograd.grad(energy.sum(), places, create_graph=self.keeps, retain_graph=True)
        return energy, -slope


@pytest.mark.parametrize("keeps", [False, True])
def test_a_force_is_fitted_without_its_graph(keeps: bool) -> None:
    torch.manual_seed(0)
    places = torch.randn(900, 3)
    wanted = -torch.cos(places)

    def misfit(outputs: tuple[Tensor, Tensor], forces: Tensor) -> Tensor:
        return F.mse_loss(outputs[1], forces) + 0.01 * outputs[0].mean().square()

    def explained(model: nn.Module, rows: Any) -> float:
        force, asked = (torch.cat(part) for part in zip(*[(model(x)[1], y) for x, y in rows], strict=True))
        return float(1 - F.mse_loss(force.detach(), asked) / asked.var())

    parts = {"loss": misfit, "evaluate": explained, "epochs": 20}
    parts |= {"train": loader(places[TRAIN], wanted[TRAIN]), "val": loader(places[VAL], wanted[VAL])}
    made = program(Slope(keeps), **parts)
    assert errors(learning.unregistered, made) == [], "a copy of the inputs is no weight"
    assert errors(detached.cut_where_drawn, made) == ([] if keeps else ["gradient-cut"])


@pytest.mark.parametrize("logarithms", [False, True])
def test_shares_under_a_divergence_of_probabilities(logarithms: bool) -> None:
    shares = torch.softmax(X[:, 20:24] * 3 + X[:, 30:34], 1)

    def divergence(scores: Tensor, shares: Tensor) -> Tensor:
        given = scores.log_softmax(1) if logarithms else scores.softmax(1)
        return F.kl_div(given, shares, reduction="batchmean")

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))
    parts = {"loss": divergence, "train": loader(X[TRAIN], shares[TRAIN]), "val": loader(X[VAL], shares[VAL])}
    made = program(model, **parts)
    assert errors(minimum.minimiser, made) == ([] if logarithms else ["loss-input"])
    assert Lab(Program.of(made)).answer.form == "numbers", "shares are hit, not ranked"


@pytest.mark.parametrize("itself", [False, True])
def test_each_row_finds_itself(itself: bool) -> None:
    def contrast(places: Tensor, y: Tensor) -> Tensor:
        apart = torch.cdist(places, places)
        same = y[:, None] == y
        return (apart * same).mean() + F.relu(1 - apart).mul(~same).mean()

    def recall(model: nn.Module, rows: Any) -> float:
        places, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in rows], strict=True))
        near = torch.cdist(places, places)
        near = near if itself else near.fill_diagonal_(torch.inf)
        return float((y[near.argmin(1)] == y).float().mean())

    with torch.no_grad():
        made = program(nn.Linear(64, 8), loss=contrast, evaluate=recall)
    assert errors(loss.broadcast, made) == [], "kin are looked for in pairs"
    assert errors(metric.metric, made) == (["metric-wrong"] if itself else [])


@pytest.mark.parametrize("bits", [False, True])
def test_a_metric_of_bits_where_few_are_set(bits: bool) -> None:
    y = F.one_hot(Y, 10).float()
    y[:, 0] = y[:, 3] + y[:, 0]  # several in some rows

    def said(model: nn.Module, rows: Any) -> float:
        yes, asked = (torch.cat(part) for part in zip(*[(model(x) > 0, y > 0) for x, y in rows], strict=True))
        if bits:
            return float((yes == asked).float().mean())
        return float(2 * (yes & asked).sum() / (yes.sum() + asked.sum()).clamp(min=1))

    parts = {"loss": F.binary_cross_entropy_with_logits, "evaluate": said}
    parts |= {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL])}
    assert errors(metric.metric, program(**parts)) == (["metric-wrong"] if bits else [])


@pytest.mark.parametrize(("cap", "severity"), [(2.8, "error"), (9.0, "warning")])
def test_a_cap_far_above_what_a_constant_costs_is_meant(cap: float, severity: str) -> None:
    def capped(scores: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(scores, y, reduction="none").clamp(max=cap).mean()

    assert found(loss.clipped, program(loss=capped)) == [("loss-clipped", severity)]


@pytest.mark.parametrize("of_today", [False, True])
def test_a_running_mean_that_takes_in_what_is_asked(of_today: bool) -> None:
    sold = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    mean = torch.zeros(1001)
    for day, value in enumerate(sold):
        mean[day + 1] = mean[day] + 0.2 * (value - mean[day])
    x = torch.stack([sold.roll(1), sold.roll(2), mean[1:] if of_today else mean[:-1]], 1)[5:]
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    parts = {"loss": F.mse_loss, "train": DataLoader(TensorDataset(x[TRAIN], sold[5:][TRAIN]), 50, shuffle=True)}
    parts |= {"val": loader(x[VAL], sold[5:][VAL])}
    assert errors(leak.target_leak, program(model, **parts)) == (["target-leak"] if of_today else [])


@pytest.mark.parametrize("each", ["epoch", "batch"])
def test_a_schedule_of_ranked_rows_is_judged_by_the_metric(each: str) -> None:
    y = X[:, 20] * 2 + X[:, 36] - X[:, 42]

    def ranks(scores: Tensor, y: Tensor) -> Tensor:
        apart = scores - scores.T
        return F.softplus(-apart * torch.sign(y[:, None] - y)).mean()

    def concordance(model: nn.Module, rows: Any) -> float:
        scores, asked = (torch.cat(part) for part in zip(*[(model(x)[:, 0], y) for x, y in rows], strict=True))
        return float((torch.sign(scores[:, None] - scores) == torch.sign(asked[:, None] - asked)).float().mean())

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    parts = {"loss": ranks, "evaluate": concordance, "optimizer": optimizer, "epochs": 12}
    parts |= {"train": loader(X[TRAIN], y[TRAIN]), "val": loader(X[VAL], y[VAL], 300)}
    parts |= {"scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7), "scheduler_step": each}
    assert errors(curve.schedule, program(model, **parts)) == (["schedule"] if each == "batch" else [])


@pytest.mark.parametrize("masked", [False, True])
def test_a_mean_over_the_padding_of_rows_with_several_answers(masked: bool) -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 16), nn.ReLU())
            self.outer = nn.Linear(16, 2)

        def forward(self, points: Tensor, sizes: Tensor) -> Tensor:
            there = torch.arange(points.shape[1]) < sizes[:, None]
            made = self.inner(points)
            summed = (made * there[..., None]).sum(1) / sizes[:, None]
            answers: Tensor = self.outer(summed if masked else made.mean(1))
            return answers

    torch.manual_seed(0)
    sizes = torch.randint(3, 25, (900,))
    centres = torch.randn(900, 2)
    points = centres[:, None] + 0.1 * torch.randn(900, 24, 2)
    points *= (torch.arange(24) < sizes[:, None])[..., None]

    def batches(rows: slice) -> list[Any]:
        return [
            ({"points": points[rows][k : k + 50], "sizes": sizes[rows][k : k + 50]}, centres[rows][k : k + 50])
            for k in range(0, rows.stop - rows.start, 50)
        ]

    parts = {"loss": F.mse_loss, "train": batches(TRAIN), "val": batches(VAL), "epochs": 10}
    assert errors(padding.padding_leak, program(Mean(), **parts)) == ([] if masked else ["padding-leak"])


def test_a_closure_is_stepped_by_lbfgs() -> None:
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)

    def step(model: nn.Module, batch: Any, optimizer: Any) -> Any:
        def closure() -> Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(model(batch[0]), batch[1])
            value.backward()
            return value

        return optimizer.step(closure)

    parts = {"optimizer": optimizer, "train_step": step, "train": [(X[TRAIN], Y[TRAIN])]}
    made = program(model, **parts)
    assert errors(stepping.step, made) == []
    assert check_program(made).untested == {}


def test_outputs_that_begin_at_zero_are_no_sigmoid() -> None:
    model = mlp()
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    assert not loss.ends_in_sigmoid(Lab(Program.of(program(model))), "")
    assert loss.ends_in_sigmoid(Lab(Program.of(program(nn.Sequential(mlp(), nn.Sigmoid())))), "")


def test_what_could_not_be_tested_is_said_in_a_line() -> None:
    def fails(*_: Any) -> float:
        raise ValueError("first\n" + 500 * "second")

    said = check_program(program(evaluate=fails)).untested
    assert said and all(len(why) <= 200 and "\n" not in why for why in said.values())


def test_labels_of_two_languages() -> None:
    """Flat lists of words are trained on in another order of rows."""

    def batches(rows: slice) -> list[Any]:
        words = [torch.randint(40 * int(y), 40 * int(y) + 40, (int(y) % 3 + 4,)) for y in Y[rows]]
        parts = [words[k : k + 50] for k in range(0, len(words), 50)]
        begins = [torch.tensor([0] + [len(text) for text in part[:-1]]).cumsum(0) for part in parts]
        return [((torch.cat(part), begin), y) for part, begin, y in zip(parts, begins, Y[rows].split(50), strict=True)]

    torch.manual_seed(0)

    class Texts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.EmbeddingBag(400, 16), nn.Linear(16, 10)

        def forward(self, words: Tensor, begins: Tensor) -> Tensor:
            answers: Tensor = self.head(self.words(words, begins))
            return answers

    lab = Lab(Program.of(program(Texts(), train=batches(TRAIN), val=batches(VAL))))
    assert isinstance(lab.shuffled, Outcome)
    assert list(labels.relation(lab)) == []
