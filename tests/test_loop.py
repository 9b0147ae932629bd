"""The loop against a loop written by hand: the same weights, bit for bit; and each part of the recipe does its work."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from snowball.collect.prepare import Prepared
from snowball.finding import GateFailed
from snowball.rng import epoch_order
from snowball.training.loop import Trainer, as_rows, measure_rows, seed_everything

from .loops import Silent, prepared


def trainer(data: Prepared) -> Trainer:
    seed_everything(data.task.recipe.train.seed)
    model = data.task.model()
    return Trainer(data.task, model, data.encoded, as_rows(data.splits, torch.device("cpu")))


def run(**keys: Any) -> tuple[Trainer, Silent]:
    made, listener = trainer(prepared(**keys)), Silent()
    made.run(listener)
    return made, listener


def test_weights_equal_a_hand_written_loops_bit_for_bit() -> None:
    data = prepared(optim="adam", lr=1e-3)
    made = trainer(data)
    seed_everything(0)
    model = data.task.model()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    everything = data.encoded.batch(torch.arange(1797))
    images, labels = everything.inputs["image"], everything.targets["label"]
    train = torch.from_numpy(data.splits["train"])
    for epoch in range(2):
        for rows in train[epoch_order(len(train), 0, epoch)].split(50):
            loss = F.cross_entropy(model(image=images[rows])["logits"], labels[rows])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    made.run(Silent())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, made.model.state_dict()[name]), name


def test_accumulation_gives_the_gradient_of_the_whole_batch() -> None:
    """Batches of 30 in steps of 90 over 1,298 rows: the last step holds 38 rows in batches of 30 and 8."""
    whole, _ = run(batch_size=90, optim="sgd", lr=0.05, epochs=1)
    parts, _ = run(batch_size=30, accumulate=3, optim="sgd", lr=0.05, epochs=1)
    assert whole.num_steps == parts.num_steps == 15
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_every_row_is_seen_once_an_epoch_and_logged_means_are_exact() -> None:
    data = prepared(epochs=1, optim="sgd", lr=1e-12)
    made, listener = trainer(data), Silent()
    made.run(listener)
    (epoch,) = [row for row in listener.rows if row["event"] == "epoch"]
    exact = measure_rows(data.task, made.model, data.encoded, made.splits["train"])
    assert epoch["loss"] == pytest.approx(exact["loss"], rel=1e-5)
    assert epoch["accuracy"] == pytest.approx(exact["accuracy"], abs=1e-9)


def test_no_batch_of_one_row_is_left_over_for_batchnorm() -> None:
    """1,298 rows in batches of 1,297 would leave one row alone, with 1 x 1 features: BatchNorm would fail."""
    data = prepared(batch_size=1297, epochs=1)
    network = data.task.model()
    network.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    listener = Silent()
    made = Trainer(data.task, network, data.encoded, as_rows(data.splits, torch.device("cpu")))
    made.run(listener)
    assert made.num_steps == 1
    assert next(row for row in listener.rows if row["event"] == "epoch")["step"] == 1


def test_clipping_bounds_the_gradient_not_the_loss() -> None:
    moved, _ = run(optim="sgd", momentum=0.0, nesterov=False, lr=1.0, clip=1e-3, epochs=1)
    seed_everything(0)
    fresh = prepared().task.model()
    distance = sum(
        float((a - b).detach().square().sum())
        for a, b in zip(moved.model.parameters(), fresh.parameters(), strict=True)
    )
    assert 0 < distance**0.5 <= moved.num_steps * 1e-3 * 1.001


def test_the_average_follows_its_recurrence() -> None:
    data = prepared(ema=0.99, epochs=1)
    made = trainer(data)
    weight = next(made.model.parameters())
    expected = weight.detach().clone()

    class Follow(Silent):
        def stepped(self, trainer: Trainer, rows: int) -> None:
            nonlocal expected
            decay = min(0.99, trainer.step / (9 + trainer.step))  # `step` has just been counted
            expected = expected * decay + weight.detach() * (1 - decay)

    made.run(Follow())
    assert made.averaged is not None
    assert torch.allclose(next(made.averaged.parameters()), expected, atol=1e-6)
    assert made.best_model is made.averaged


def test_patience_stops_and_the_best_epoch_is_kept() -> None:
    made, listener = run(**{"epochs": 50, "train.patience": 2, "optim": "sgd", "lr": 1e-12})
    assert made.progress.epoch <= 6
    assert made.progress.best_epoch <= made.progress.epoch - 3
    assert listener.improvements >= 1


def test_a_loss_that_is_not_finite_stops_the_run_and_says_so() -> None:
    data = prepared(optim="sgd", lr=1e20, epochs=3)
    with pytest.raises(GateFailed, match="the training loss is"):
        trainer(data).run(Silent())


def test_dropout_mixup_and_every_optimiser_learn() -> None:
    for keys in (
        {"optim": "muon"},
        {"optim": "sgd"},
        {"optim": "adam"},
        {"model.dropout": 0.3, "augment.name": "default", "mixup": 0.2},
    ):
        made, _ = run(**{"epochs": 3, **keys})
        assert made.progress.best is not None and made.progress.best > 0.8, keys


@pytest.mark.parametrize("steps", [1, 13, 17, 25])  # 13 steps an epoch: its very end is a point of its own
def test_interrupted_and_reloaded_equals_uninterrupted(steps: int) -> None:
    keys: dict[str, Any] = {"model.dropout": 0.3, "ema": 0.9, "accumulate": 2, "schedule": "onecycle"}
    whole, _ = run(**keys)
    data = prepared(**keys)
    first = trainer(data)
    first.run(Silent(steps))
    tensors = {name: value.clone().contiguous() for name, value in first.tensors().items()}
    second = trainer(data)
    second.load(tensors, first.progress)
    second.run(Silent())
    for name, value in whole.tensors().items():
        assert torch.equal(value, second.tensors()[name]), name


def test_evaluation_puts_the_mode_back() -> None:
    data = prepared()
    model = nn.Module.train(data.task.model())
    measure_rows(data.task, model, data.encoded, torch.arange(10))
    assert model.training
