"""The watch: what goes wrong while it trains is said, a healthy training stays silent, and no bit changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snowball.collect.prepare import Prepared
from snowball.finding import Finding, GateFailed
from snowball.training.loop import Trainer, as_rows
from snowball.training.watch import Look, Watch, _of_gap, _windows

from .loops import Silent, prepared


class Plain(nn.Module):
    """64 pixels to 10 classes, with a hidden layer that a test can spoil."""

    def __init__(self, bias: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.head = nn.Linear(64, 32), nn.Linear(32, 10)
        self.spare = nn.Parameter(torch.ones(3))
        self.used = True
        nn.init.constant_(self.hidden.bias, bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.hidden(image.flatten(1) / 255 - 0.3).relu())
        return {"logits": logits + self.spare.sum() * logits.square() * 1e-4 if self.used else logits}


@cache
def digits() -> Prepared:
    return prepared(**{"train.batch_size": 200, "epochs": 8})  # 56 steps: looks at steps 20 and 28


def of(model: nn.Module, keys: Mapping[str, Any] | None = None, *, watched: bool = True) -> Trainer:
    """A trainer of digits, with other keys."""
    data = digits()
    task = type(data.task)(data.task.recipe.replace(keys or {}), data.task.schema, data.task.table)
    return Trainer(task, model, data.encoded, as_rows(data.splits, torch.device("cpu")), watched=watched)


def found(made: Trainer) -> dict[str, Finding]:
    """What a training finds, until it ends or is stopped."""
    listener = Silent()
    try:
        made.run(listener)
    except GateFailed as error:
        assert error.findings[0] is listener.findings[-1]
    assert [one.to_json() for one in listener.findings] == made.progress.findings
    return {finding.check: finding for finding in listener.findings}


def test_a_healthy_training_is_silent_and_keeps_its_bits() -> None:
    watched, plain = of(Plain()), of(Plain(), watched=False)
    assert not found(watched) and not found(plain)
    assert [look["step"] for look in watched.progress.looks] == [20, 28] and not plain.progress.looks
    assert all(1e-4 < look["ratio"] < 0.1 and look["norm"] > 0 for look in watched.progress.looks)
    for one, other in zip(watched.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_dead_units() -> None:
    finding = found(of(Plain(bias=-100.0)))["dead-units"]
    assert finding.severity == "error" and finding.evidence["share"] == {"hidden.weight": 1.0}
    some = Plain()
    with torch.no_grad():
        some.hidden.bias[:20] = -100
    finding = found(of(some))["dead-units"]
    assert finding.severity == "warning" and 0.625 <= finding.evidence["share"]["hidden.weight"] < 0.8


def test_units_that_are_silent_in_one_batch_are_not_dead() -> None:
    """Of three rows a batch holds few classes: many units rest in one step, and few in eight batches."""
    network = Plain(bias=-0.2)
    assert "dead-units" not in found(of(network, {"train.batch_size": 3, "train.steps": 60}))


def test_parameters_that_never_move() -> None:
    unused = Plain()
    unused.used = False
    finding = found(of(unused))["frozen-parameters"]
    assert finding.severity == "warning" and finding.evidence["parameters"] == ["spare"]
    made = of(Plain())
    made.optimisers[0].param_groups[0]["params"].remove(made.model.get_parameter("hidden.weight"))
    finding = found(made)["frozen-parameters"]
    assert finding.severity == "error" and finding.evidence["parameters"] == ["hidden.weight"]


@pytest.mark.parametrize(
    ("keys", "check", "severity"),
    [
        ({"optim": "adam", "lr": 1e-9}, "lr-too-low", "error"),
        ({"optim": "adam", "lr": 10.0, "waive.dead-units": "a test"}, "lr-too-high", "error"),
        ({"schedule": "step", "schedule.every": 1, "gamma": 0.01}, "schedule", "warning"),
        ({"schedule": "onecycle", "schedule.warmup": 0.95}, "schedule", "warning"),
    ],
)
def test_learning_rates(keys: dict[str, Any], check: str, severity: str) -> None:
    finding = found(of(Plain(), keys))[check]
    assert finding.severity == severity


def not_learned(losses: list[float], keys: Mapping[str, Any]) -> list[str]:
    """What is said of a training of 112 steps of which these losses are known."""
    made = of(Plain(), {"train.epochs": 16, **keys})
    at, per_epoch = made.progress, made.steps_per_epoch
    at.epoch = len(losses) // per_epoch
    at.looks.append({"step": 20, "norm": 1.0, "ratio": 0.003, "suspected": []})
    for step in range(len(losses)):
        epoch, since = step // per_epoch, losses[step - step % per_epoch : step + 1]
        at.log.append({"event": "step", "epoch": epoch, "step": step + 1, "loss": sum(since) / len(since), "lr": 0.003})
    return [finding.check for finding in Watch(made).of_epoch()]


def test_not_learning_is_said_when_it_is_due_and_not_of_a_loss_that_falls() -> None:
    restless = [2.3 + 0.01 * (step % 3) for step in range(112)]
    assert not_learned(restless[:56], {}) == not_learned(restless, {}) == ["not-learning"]
    onecycle = {"schedule.name": "onecycle"}  # rises until step 34: half of what is left is done in epoch 11
    assert not_learned(restless[:70], onecycle) == [] and not_learned(restless[:77], onecycle) == ["not-learning"]
    falling = [loss - 0.0006 * step for step, loss in enumerate(restless)]
    assert not_learned(falling[:56], {}) == not_learned(falling, {}) == []


def test_a_training_that_runs_out_of_patience_is_judged_too() -> None:
    keys = {"optim": "adam", "lr": 1e-9, "train.epochs": 40, "train.patience": 8}
    assert found(of(Plain(), keys)).keys() == {"lr-too-low"}


def test_gradients_that_explode_or_are_not_finite() -> None:
    made = of(Plain())
    watch = Watch(made)

    def judged(norm: float) -> list[str]:
        watch._look = Look(300, norm, 0.01)
        return [finding.check for finding in watch.of_step()]

    assert judged(0.0) == [] and judged(2.0) == [] and judged(150.0) == []
    assert judged(20_000.0) == ["exploding-gradients"]
    assert judged(float("nan")) == ["non-finite"]


def test_a_gap_that_opens() -> None:
    def epochs(*losses: tuple[float, float]) -> list[dict[str, Any]]:
        return [{"epoch": i, "loss": train, "val_loss": val} for i, (train, val) in enumerate(losses)]

    assert [f.check for f in _of_gap(epochs((1.0, 1.0), (0.5, 0.8), (0.2, 1.2), (0.1, 1.9)))] == ["overfitting"]
    assert not list(_of_gap(epochs((1.0, 1.0), (0.5, 0.8), (0.2, 0.7), (0.1, 0.9))))


def test_windows_undo_the_running_means() -> None:
    rows = [(0, 1, 4.0), (0, 2, 3.0), (0, 4, 2.0), (0, 4, 2.0), (1, 5, 0.5)]
    assert _windows([{"epoch": e, "step": s, "loss": m} for e, s, m in rows]) == [4.0, 2.0, 1.0, 0.5]


def test_what_was_found_and_seen_survives_a_resume() -> None:
    keys = {"optim": "adam", "lr": 1e-9, "waive.lr-too-low": "a test"}
    whole = of(Plain(), keys)
    whole.run(Silent())
    stopped = of(Plain(), keys)
    stopped.run(Silent(steps=25))
    resumed = of(Plain(), keys)
    resumed.load(stopped.tensors(), stopped.progress)
    resumed.run(Silent())
    assert resumed.progress.looks == whole.progress.looks
    assert resumed.progress.findings == whole.progress.findings != []


def test_an_error_stops_with_a_checkpoint_and_goes_on_when_it_is_waived(snowball: Callable[..., Any]) -> None:
    keys = "model=mlp", "optim=adam", "lr=1e-9", "epochs=8", "batch_size=200", "preflight=false"
    stopped = snowball("train", "digits", *keys, "-o", "run", code=1)
    assert [f["check"] for f in stopped["findings"]] == ["lr-too-low"] and stopped["verdict"] == "fail"
    assert "resume=run waive.lr-too-low" in stopped["error"]
    snowball("train", "resume=run", code=1)  # it still stands
    snowball("train", "resume=run", "epochs=3", code=2)
    done = snowball("train", "resume=run", "waive.lr-too-low=only a test & a short one")
    assert done["waived"] == {"lr-too-low": "only a test & a short one"}
    assert done["verdict"] == "pass" and "lr-too-low" in {f["check"] for f in done["findings"]}
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert "only a test &amp; a short one" in page and "lr-too-low" in page
    assert snowball("evaluate", "run")["verdict"] == "pass"
