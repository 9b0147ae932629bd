"""Each check against a program with its bug and the same program without it; the checks alone, so that it is quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from snowball.checks import (
    beginning,
    curve,
    dependence,
    draws,
    evaluation,
    labels,
    layers,
    leak,
    learning,
    loss,
    loss_input,
    metric,
    minimum,
    overlap,
    padding,
    rows,
    stepping,
)
from snowball.checks.lab import Lab

from .programs import TRAIN, VAL, X, Y, errors, loader, mlp, program


def accuracy(model: nn.Module, batches: Any) -> float:
    was = model.training
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float().sum().item() for x, y in batches]
    model.train(was)
    return sum(right) / sum(len(y) for _, y in batches)


def stepper(*, clear: bool = True, sign: float = 1.0, parts: int = 1, train: bool = True) -> Callable[..., Any]:
    def step(model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        model.train(train)
        if clear:
            optimizer.zero_grad()
        total = torch.zeros(())
        for x, y in zip(batch[0].chunk(abs(parts)), batch[1].chunk(abs(parts)), strict=True):
            value = F.cross_entropy(model(x), y) / (1 if parts < 0 else parts)
            (sign * value).backward()
            total = total + value.detach()
        optimizer.step()
        return total

    return step


class Listed(nn.Module):
    """A layer that a plain list hides from `parameters()`, or does not."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden = kind([nn.Linear(64, 32)])
        self.out = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(F.relu(self.hidden[0](x)))


class Cut(nn.Module):
    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.below, self.above, self.cut = nn.Linear(64, 32), nn.Linear(32, 10), cut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = F.relu(self.below(x))
        return self.above(features.detach() if self.cut else features)


class Mixed(nn.Module):
    """Normalised over the batch in evaluation mode too, or over each row."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net, self.dim = mlp(), dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x - x.mean(self.dim, keepdim=True))


class Sequences(nn.Module):
    """(B, T) tokens to (B, T, 12): a recurrent network that reads one way, or both."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(12, 8), nn.GRU(8, 8, batch_first=True, bidirectional=both)
        self.out = nn.Linear(16 if both else 8, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.embed(x))[0])


def sequences(both: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    tokens = torch.randint(0, 12, (64, 13))
    model = Sequences(both)
    data = loader(tokens[:, :-1], tokens[:, 1:], 16)
    return {
        "model": model,
        "loss": lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()),
        "train": data,
        "causal": True,
    }


def regression(squeeze: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), *([nn.Flatten(0)] if squeeze else []))
    return {"model": model, "loss": F.mse_loss, "train": loader(x, x.sum(1))}


def with_weights(change: Callable[[nn.Sequential], Any]) -> nn.Sequential:
    model = mlp()
    with torch.no_grad():
        change(model)
    return model


SOFTMAX = nn.Softmax(1)
CASES: dict[str, tuple[Callable[[Lab], Any], Callable[[], dict[str, Any]], Callable[[], dict[str, Any]]]] = {
    "unregistered-parameters": (
        learning.unregistered,
        lambda: program(model=Listed(list)),
        lambda: program(model=Listed(nn.ModuleList)),
    ),
    "gradient-cut": (learning.weights, lambda: program(model=Cut(True)), lambda: program(model=Cut(False))),
    "optimizer-missing-parameters": (
        learning.weights,
        lambda: program(model=(m := mlp()), optimizer=torch.optim.SGD(m[2].parameters(), 0.1)),
        lambda: program(),
    ),
    "frozen-parameters": (
        learning.weights,
        lambda: program(model=with_weights(lambda m: m[0].requires_grad_(False))),
        lambda: program(),
    ),
    "constant-init": (
        learning.symmetry,
        lambda: program(model=with_weights(lambda m: m[0].weight.fill_(0.01))),
        lambda: program(model=with_weights(lambda m: m[2].weight.zero_())),
    ),
    "batch-mixing": (dependence.batch_mixing, lambda: program(model=Mixed(0)), lambda: program(model=Mixed(1))),
    "time-leak": (dependence.time_leak, lambda: sequences(True), lambda: sequences(False)),
    "shape-broadcast": (loss.broadcast, lambda: regression(False), lambda: regression(True)),
    "loss-input": (
        loss_input.loss_input,
        lambda: program(model=nn.Sequential(mlp(), SOFTMAX)),
        lambda: program(model=nn.Sequential(mlp(), nn.LogSoftmax(1)), loss=F.nll_loss),
    ),
    "loss-sign": (
        minimum.minimiser,
        lambda: program(loss=lambda o, t: -F.cross_entropy(o, t)),
        lambda: program(loss=lambda o, t: F.cross_entropy(o, t, label_smoothing=0.1)),
    ),
    "wrong-loss": (
        minimum.minimiser,
        lambda: program(loss=lambda o, t: F.cross_entropy(o, (t + 1) % 10 * (t > 4) + t * (t <= 4))),
        lambda: program(),
    ),
    "loss-clipped": (
        loss.clipped,
        lambda: program(loss=lambda o, t: F.cross_entropy(o, t, reduction="none").clamp(max=3.0).mean()),
        lambda: program(),
    ),
    "stale-gradients": (
        stepping.step,
        lambda: program(train_step=stepper(clear=False)),
        lambda: program(train_step=stepper()),
    ),
    "accumulation-scale": (
        stepping.step,
        lambda: program(train_step=stepper(parts=-5)),
        lambda: program(train_step=stepper(parts=5)),
    ),
    "loss-sign in a step": (
        stepping.step,
        lambda: program(train_step=stepper(sign=-1.0)),
        lambda: program(train_step=stepper()),
    ),
    "eval-mode": (
        stepping.step,
        lambda: program(model=nn.Sequential(nn.Dropout(0.3), mlp()), train_step=stepper(train=False)),
        lambda: program(model=nn.Sequential(nn.Dropout(0.3), mlp()), train_step=stepper()),
    ),
    "no-nonlinearity": (
        layers.nonlinearity,
        lambda: program(model=nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 10))),
        lambda: program(model=nn.Sequential(nn.Linear(64, 10))),
    ),
    "dead-units": (
        layers.silent_units,
        lambda: program(model=with_weights(lambda m: m[0].bias.fill_(-9.0))),
        lambda: program(),
    ),
    "input-ignored": (
        dependence.input_ignored,
        lambda: program(model=nn.Sequential(Zeroed(), mlp())),
        lambda: program(model=with_weights(lambda m: m[2].weight.zero_())),
    ),
    "dropped-rows": (
        evaluation.dropped_rows,
        lambda: program(val=loader(X[VAL], Y[VAL], 64, shuffle=False, drop_last=True)),
        lambda: program(train=loader(X[TRAIN], Y[TRAIN], drop_last=True)),
    ),
    "metric-on-train": (
        evaluation.dropped_rows,
        lambda: program(evaluate=lambda m, _: accuracy(m, loader(X[TRAIN], Y[TRAIN]))),
        lambda: program(evaluate=accuracy),
    ),
    "metric-averaging": (
        metric.metric,
        lambda: program(evaluate=lambda m, b: sum(accuracy(m, [part]) for part in b) / len(b)),
        lambda: program(evaluate=accuracy),
    ),
    "metric-wrong": (
        metric.metric,
        lambda: program(evaluate=lambda m, b: accuracy(m, b) * 0.5),
        lambda: program(evaluate=accuracy),
    ),
    "constant-input": (
        rows.constant_input,
        lambda: program(train=loader(X[TRAIN] * 0, Y[TRAIN])),
        lambda: program(),
    ),
    "split-overlap": (
        overlap.split_overlap,
        lambda: program(val=loader(X[500:800], Y[500:800])),
        lambda: program(train=loader(X[TRAIN].repeat(2, 1), Y[TRAIN].repeat(2))),
    ),
    "unshuffled": (
        rows.unshuffled,
        lambda: program(train=loader(X[TRAIN][Y[TRAIN].argsort()], Y[TRAIN].sort().values, shuffle=False)),
        lambda: program(train=loader(X[TRAIN], Y[TRAIN], shuffle=False)),
    ),
    "label-misaligned": (
        labels.relation,
        lambda: program(train=loader(X[TRAIN], Y[TRAIN][torch.randperm(600)])),
        lambda: program(),
    ),
    "label-noise": (labels.relation, lambda: program(train=loader(X[TRAIN], flipped(0.3))), lambda: program()),
    "train-val-mismatch": (
        labels.relation,
        lambda: program(val=loader(1 - X[VAL], Y[VAL])),
        lambda: program(),
    ),
    "target-leak": (leak.target_leak, lambda: tabular(leak=True), lambda: tabular(leak=False)),
    "input-scale": (
        rows.input_scale,
        lambda: program(train=loader(X[TRAIN] * 4080, Y[TRAIN]), val=loader(X[VAL] * 4080, Y[VAL])),
        lambda: program(),
    ),
    "non-finite": (
        beginning.finite,
        lambda: program(loss=lambda o, t: F.cross_entropy(o, t) + (o.argmax(1) * 0.0).log().mean() * 0),
        lambda: program(),
    ),
    "lr-too-low": (
        curve.learning_rate,
        lambda: program(model=(m := mlp()), optimizer=torch.optim.SGD(m.parameters(), 1e-3)),
        lambda: program(),
    ),
}


class Zeroed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0


def flipped(share: float) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    wrong = torch.rand(600, generator=random) < share
    return torch.where(wrong, (Y[TRAIN] + torch.randint(1, 10, (600,), generator=random)) % 10, Y[TRAIN])


def tabular(leak: bool) -> dict[str, Any]:
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    y = x[:, 0] + x[:, 1] + x[:, 2] + torch.randn(400)
    given = torch.cat([x, y[:, None] if leak else torch.randn(400, 1)], 1)
    model = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    return {"model": model, "loss": F.mse_loss, "train": loader(given, y)}


@pytest.mark.filterwarnings("ignore:Using a target size")  # by PyTorch, of the bug itself
@pytest.mark.parametrize("name", CASES)
def test_a_check_finds_its_bug_and_leaves_the_twin_alone(name: str) -> None:
    check, buggy, healthy = CASES[name]
    assert name.partition(" ")[0] in errors(check, buggy())
    assert errors(check, healthy()) == []


def test_padding_moves_an_answer() -> None:
    """The last step of a padded row is padding: a network that answers from it forgets the row."""

    class Last(nn.Module):
        def __init__(self, packed: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.embed, self.rnn, self.out, self.packed = (
                nn.Embedding(20, 16),
                nn.GRU(16, 32, batch_first=True),
                nn.Linear(32, 4),
                packed,
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states = self.rnn(self.embed(x))[0]
            last = (x != 0).sum(1).clamp(min=1) - 1 if self.packed else torch.full((len(x),), x.shape[1] - 1)
            return self.out(states[torch.arange(len(x)), last])

    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 8, (400,), generator=random)
    tokens = torch.randint(1, 20, (400, 40), generator=random) * (torch.arange(40) < lengths[:, None])
    answers = tokens[:, 0] % 4

    def parts(packed: bool) -> dict[str, Any]:
        model = Last(packed)
        data = {
            "train": loader(tokens[:300], answers[:300], 25),
            "val": loader(tokens[300:], answers[300:], 50, shuffle=False),
        }
        return {
            "model": model,
            "loss": F.cross_entropy,
            **data,
            "optimizer": torch.optim.Adam(model.parameters(), 1e-2),
            "epochs": 8,
        }

    assert "padding-leak" in errors(padding.padding_leak, parts(packed=False))
    assert errors(padding.padding_leak, parts(packed=True)) == []


class _Jittered(torch.utils.data.Dataset[Any]):
    """Rows with noise from a generator of its own, which every worker gets a copy of, or from torch's."""

    def __init__(self, own: bool) -> None:
        self.random = torch.Generator().manual_seed(0) if own else None

    def __len__(self) -> int:
        return 64

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return X[row] + 0.1 * torch.randn(64, generator=self.random), Y[row]


def test_workers_that_draw_alike_are_found() -> None:
    bad, good = (program(train=DataLoader(_Jittered(own), 16, num_workers=2)) for own in (True, False))
    assert errors(draws.worker_seeds, bad) == ["worker-seeds"]
    assert errors(draws.worker_seeds, good) == []
