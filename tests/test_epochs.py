"""Epochs: every row once, a function of (seed, epoch); and steps whose batches count unequal numbers of tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from snowball.collect.encode import Encoded
from snowball.collect.ragged import RaggedBuilder
from snowball.finding import BadInput
from snowball.kind import Batch
from snowball.kinds.text import TextKind
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.table import Column, Table
from snowball.task import Task
from snowball.training.epochs import Epochs, by_length, padding_waste
from snowball.training.loop import Totals, Trainer, training_rows

TYPES = tasks()["language-modelling"].section_types()


def epochs(rows: Tensor, lengths: Tensor | None, **keys: Any) -> Epochs:
    values = {f"train.{key}": value for key, value in keys.items()}
    return Epochs(rows, lengths, Recipe.build("language-modelling", TYPES, values).train)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 5))
def test_every_row_is_seen_once_an_epoch(num: int, size: int, accumulate: int, ragged: bool, epoch: int) -> None:
    rows = torch.arange(num) * 3
    lengths = torch.randint(1, 50, (3 * num, 1), generator=torch.Generator().manual_seed(num)) if ragged else None
    made = epochs(rows, lengths, batch_size=size, accumulate=accumulate)
    steps = list(made.steps(epoch))
    assert sorted(torch.cat(steps).tolist()) == rows.tolist()
    assert len(steps) == made.num_steps
    assert all(len(step) <= size * accumulate + 1 for step in steps)
    for step in steps:
        batches = made.batches(step)
        assert torch.cat(batches).tolist() == step.tolist()
        assert all(len(batch) <= size * max(accumulate, 1) + 1 for batch in batches)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    rows, lengths = torch.arange(300), torch.randint(1, 90, (300, 1), generator=torch.Generator().manual_seed(0))

    def order(seed: int, epoch: int) -> list[list[int]]:
        torch.rand(3)  # torch's own generator has no part in it
        return [step.tolist() for step in epochs(rows, lengths, batch_size=16, seed=seed).steps(epoch)]

    assert order(1, 2) == order(1, 2)
    assert len({str(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_rows_of_like_length_share_a_batch() -> None:
    lengths = torch.randint(1, 100, (4000, 1), generator=torch.Generator().manual_seed(0))
    made = epochs(torch.arange(4000), lengths, batch_size=16)
    shuffled = padding_waste([lengths[part] for part in torch.randperm(4000).split(16)])
    waste = made.padding()
    assert waste is not None and waste < 0.05 < 0.4 < shuffled
    first = [int(lengths[step].float().mean()) for step in made.steps(0)]
    assert first != sorted(first)  # the batches themselves come in any order
    assert epochs(torch.arange(9), torch.full((9, 1), 7), batch_size=4).padding() is None


def test_by_length_sorts_by_the_last_role_and_keeps_ties() -> None:
    lengths = torch.tensor([[5, 2], [1, 2], [9, 1], [5, 2]])
    assert by_length(torch.tensor([3, 0, 1, 2]), lengths).tolist() == [2, 1, 3, 0]
    assert by_length(torch.tensor([3, 0]), None).tolist() == [3, 0]


TEXTS = ["ab", "abcabcabcabcabcabca", "ba", "cabba", "abcabcab", "cc"]


def language(texts: list[str] = TEXTS, **keys: Any) -> tuple[Task, Encoded, dict[str, Tensor]]:
    table = Table("made", {"text": Column("text", "text", texts)}, [""] * len(texts), str)
    kind = tasks()["language-modelling"]
    base = {"model": "gru", "network.width": 8, "network.layers": 1, "language.context": 32, "augment.drop": 0.0}
    recipe = Recipe.build(kind.name, TYPES, kind.defaults(table, {"model.name": "gru"}), base, keys)
    task = kind(recipe, kind.fit(table, recipe, range(len(texts))), table)
    builder = RaggedBuilder(len(texts), 0, 1 << 30)
    text = task.kinds["text"]
    for row, value in enumerate(texts):
        builder.put(row, text.encode(value))
    held = builder.rows()
    encoded = Encoded({"text": held}, {"text": held}, [""] * len(texts), {}, {})
    return task, encoded, {name: torch.arange(len(texts)) for name in ("train", "val", "test")}


def network(task: Task) -> nn.Module:
    torch.manual_seed(0)
    return task.model()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_accumulating_unequal_batches_equals_one_batch(size: int) -> None:
    """Batches of 1 to 18 tokens: each counts by its tokens, not as one of so many batches."""
    moved = []
    for batch_size, accumulate in ((6, 1), (size, 6 // size)):
        keys = {
            "optim.name": "sgd",
            "optim.lr": 0.1,
            "train.clip": None,
            "schedule.warmup": 0.0,
            "schedule": "constant",
        }
        task, encoded, splits = language(
            **keys, **{"train.batch_size": batch_size, "train.accumulate": accumulate, "optim.weight_decay": 0.0}
        )
        trainer = Trainer(task, network(task), encoded, splits)
        (rows,) = trainer.epochs.steps(0)
        trainer._set_lr(0, [])
        trainer._update(rows)
        moved.append(trainer)
    for one, other in zip(moved[0].model.parameters(), moved[1].model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    before = network(task)
    assert not torch.equal(next(before.parameters()), next(moved[0].model.parameters()))
    assert moved[0].totals.means()["loss"] == pytest.approx(moved[1].totals.means()["loss"], rel=1e-5)


def test_totals_weigh_losses_by_tokens() -> None:
    task, encoded, _ = language()
    model, totals = network(task), Totals(task)
    nll = tokens = 0.0
    for row in range(len(TEXTS)):
        batch: Batch = encoded.batch(torch.tensor([row]))
        outputs = task.forward(model, batch)
        loss = task.loss(outputs, batch)
        totals.add(outputs, batch, loss)
        nll, tokens = nll + float(loss.detach()) * (len(TEXTS[row]) - 1), tokens + len(TEXTS[row]) - 1
    means = totals.means()
    assert means["loss"] == pytest.approx(nll / tokens, rel=1e-5)
    assert means["nll"] == pytest.approx(nll / tokens, rel=1e-5)
    assert {name: tuple(both.shape) for name, both in totals.state().items()} == dict.fromkeys(totals.state(), (2,))
    again = Totals(task)
    again.load(totals.state())
    assert again.means() == means


def test_windows_of_every_split_are_numbered_apart() -> None:
    task, encoded, _ = language(**{"language.context": 4})
    splits = {"train": torch.tensor([1, 3]), "val": torch.tensor([4]), "test": torch.tensor([0, 5])}
    cut, rows = training_rows(task, encoded, splits)
    assert {name: len(part) for name, part in rows.items()} == {"train": 5 + 1, "val": 2, "test": 2}
    assert torch.cat(list(rows.values())).tolist() == list(range(10))
    held = cut.inputs["text"].index_select(0, rows["val"])
    kind = task.kinds["text"]
    assert isinstance(kind, TextKind)
    assert [kind.text(row) for row in held.tolist()] == ["abcab", "bcab"]


def test_a_split_without_anything_to_predict_is_refused() -> None:
    task, encoded, splits = language(["abc", "a", "b"])
    with pytest.raises(BadInput, match="no val row holds more than one token"):
        training_rows(task, encoded, {**splits, "val": torch.tensor([1, 2])})
