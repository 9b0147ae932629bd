"""Bugs that look like something else, and healthy programs that look like a bug: each beside its other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info

from snowball.checks import (
    beginning,
    dependence,
    detached,
    draws,
    evaluation,
    labels,
    layers,
    learning,
    metric,
    overlap,
    rows,
    stepping,
)
from snowball.checks.sample import Sample, together
from snowball.checks.scale import standardiser

from .programs import X, Y, found, mlp, program


class Filled(Dataset[Any]):
    """Rows that are written into the same memory, or each into its own."""

    def __init__(self, same: bool) -> None:
        self.memory, self.same = torch.zeros(64), same

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.memory.copy_(X[row])
        return self.memory if self.same else self.memory.clone(), Y[row]


def test_rows_that_share_their_memory() -> None:
    bad, good = (program(train=DataLoader(Filled(same), 20)) for same in (True, False))
    assert found(rows.constant_input, bad) == [("constant-input", "error")]
    assert found(rows.constant_input, good) == []


class Recall(nn.Module):
    """Which token came first? A recurrent cell whose history is cut, or is not."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.cell, self.out, self.cut = nn.Embedding(12, 24), nn.GRUCell(24, 24), nn.Linear(24, 6), cut

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(tokens), 24)
        for step in range(tokens.shape[1]):
            state = self.cell(self.embed(tokens[:, step]), state.detach() if self.cut else state)
        return self.out(state)


def test_a_gradient_that_ends_half_way() -> None:
    random = torch.Generator().manual_seed(0)
    first = torch.randint(0, 6, (600,), generator=random)
    tokens = torch.cat([first[:, None], torch.randint(6, 12, (600, 5), generator=random)], 1)

    def recall(cut: bool) -> dict[str, Any]:
        model = Recall(cut)
        data = [TensorDataset(tokens[part], first[part]) for part in (slice(0, 450), slice(450, 600))]
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        loaders = {"train": DataLoader(data[0], 25, shuffle=True), "val": DataLoader(data[1], 150)}
        return {"model": model, "loss": F.cross_entropy, **loaders, "optimizer": optimizer, "epochs": 6}

    assert found(detached.detached, recall(cut=True)) == [("gradient-cut", "error")]
    assert found(detached.detached, recall(cut=False)) == []


def test_rows_that_a_collate_function_drops() -> None:
    def collate(pairs: list[Any]) -> Any:
        kept = [pair for pair in pairs if pair[1] != 3]
        return torch.stack([x for x, _ in kept]), torch.stack([y for _, y in kept])

    data = TensorDataset(X[600:900], Y[600:900])
    assert found(evaluation.dropped_rows, program(val=DataLoader(data, 100, collate_fn=collate))) == [
        ("dropped-rows", "error")
    ]
    assert found(evaluation.dropped_rows, program()) == []


def test_numbers_that_are_none() -> None:
    """What the program looks after is worth a note; what reaches its loss is an error."""

    class Cleaning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(torch.nan_to_num(x))

    x = X.clone()
    x[::7, 5] = torch.nan
    assert found(beginning.finite_rows, program(x=x)) == [("non-finite", "error")]
    assert found(beginning.finite_rows, program(Cleaning(), x=x)) == [("non-finite", "note")]


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(9, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.embed(x))


@pytest.mark.parametrize("by_batch", [True, False])
def test_tags_that_are_averaged_batch_by_batch(by_batch: bool) -> None:
    """Sentences sorted by their length: a batch of short ones holds fewer tags."""
    random = torch.Generator().manual_seed(0)
    sentences = [torch.randint(1, 9, (int(length),), generator=random) for length in torch.arange(3, 43)]

    def collate(pairs: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        tags = [sentence % 3 for sentence in pairs]
        padded = nn.utils.rnn.pad_sequence(pairs, batch_first=True)
        return padded, nn.utils.rnn.pad_sequence(tags, batch_first=True, padding_value=-100)

    def evaluate(model: nn.Module, batches: Any) -> float:
        rights = [(model(x).argmax(2) == y)[y >= 0].float() for x, y in batches]
        return float(torch.stack([right.mean() for right in rights]).mean() if by_batch else torch.cat(rights).mean())

    model = Tagger()
    loaders = [DataLoader(sentences, 8, shuffle=shuffle, collate_fn=collate) for shuffle in (True, False)]
    parts = {
        "model": model,
        "loss": lambda outputs, tags: F.cross_entropy(outputs.flatten(0, 1), tags.flatten(), ignore_index=-100),
        "train": loaders[0],
        "val": loaders[1],
        "evaluate": evaluate,
    }
    assert found(metric.metric, parts) == ([("metric-averaging", "error")] if by_batch else [])


def test_random_features_that_do_their_work() -> None:
    def frozen(width: int) -> dict[str, Any]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4))
        model[0].requires_grad_(False)
        y = torch.arange(600) % 4
        x = 3 * F.one_hot(y, 8) + torch.randn(600, 8)
        data = [TensorDataset(x[part], y[part]) for part in (slice(0, 400), slice(400, 600))]
        optimizer = torch.optim.Adam(model[2].parameters(), 1e-2)
        loaders = {"train": DataLoader(data[0], 40, shuffle=True), "val": DataLoader(data[1], 200)}
        return {"model": model, "loss": F.cross_entropy, **loaders, "optimizer": optimizer, "epochs": 15}

    assert found(learning.weights, frozen(256)) == [("frozen-parameters", "warning")]
    assert found(learning.weights, frozen(4)) == [("frozen-parameters", "error")]


@pytest.mark.parametrize(("divide", "clip"), [(4, 0.05), (4, None), (16, None)])
def test_gathered_gradients_may_be_clipped(divide: int, clip: float | None) -> None:
    calls = iter(range(10**6))

    def step(model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        loss = F.cross_entropy(model(batch[0]), batch[1])
        (loss / divide).backward()
        if next(calls) % 4 == 3:
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    expected = [("accumulation-scale", "error")] if divide == 16 else []
    assert found(stepping.step, program(train_step=step)) == expected


def test_inputs_so_large_that_all_are_answered_alike() -> None:
    """A saturated network ignores nothing and is cut nowhere: its inputs are too large."""

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.gru, self.out = nn.GRU(2, 8, batch_first=True), nn.Linear(8, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.gru(x.unflatten(1, (32, 2)))[1][-1])

    assert found(dependence.input_ignored, program(Steps(), x=1e5 + 10 * X)) == [("input-scale", "error")]
    assert found(learning.weights, program(Steps(), x=1e5 + 10 * X)) == []
    assert found(dependence.input_ignored, program(Steps())) == []


def test_two_layers_that_are_one_are_a_bug_where_it_hurts() -> None:
    torch.manual_seed(0)
    easy = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.Linear(64, 10))
    assert found(layers.nonlinearity, program(easy, epochs=6)) == [("no-nonlinearity", "warning")]


def test_short_rows_are_equal_by_chance() -> None:
    """Five of 300 rows, of three tokens each: a draw in which the rows of one split are hardly ever equal."""
    random = torch.Generator().manual_seed(231)
    lengths = torch.randint(3, 25, (1200, 1), generator=random)
    x = torch.randint(1, 9, (1200, 24), generator=random) * (torch.arange(24) < lengths)
    model = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(192, 2))
    data = [TensorDataset(x[part], x[part][:, 0] // 5) for part in (slice(0, 900), slice(900, 1200))]
    parts = {"model": model, "loss": F.cross_entropy, "train": DataLoader(data[0], 30), "val": DataLoader(data[1], 100)}
    assert found(overlap.split_overlap, parts) == []


def test_a_table_of_noise_was_never_learned() -> None:
    random = torch.Generator().manual_seed(0)
    noise = 0.3 * torch.randn(300, 16, generator=random)
    learned = noise + 0.4 * torch.randn(300, 1, generator=random) @ torch.randn(1, 16, generator=random)
    assert learning._is_noise(noise) and not learning._is_noise(learned)


def test_batches_of_other_lengths_are_filled_up() -> None:
    batches = [(torch.ones(2, 3), torch.tensor([[1, -100, 1], [1, 1, 1]])), (torch.ones(1, 2), torch.ones(1, 2).long())]
    sample = Sample(tuple(batches), complete=True)
    assert (sample.sizes, len(sample)) == ((2, 1), 3)
    assert sample.inputs[2].tolist() == [1, 1, 0] and sample.targets[2].tolist() == [1, 1, -100]
    assert together([torch.ones(2), torch.ones(1)]).shape == (3,)


def test_channels_are_standardised_wherever_they_stand() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(50, 20, 3, generator=random) * torch.tensor([1.0, 100.0, 1.0]) + torch.tensor([0.0, 1e5, 3.0])
    for given, dims in ((x, (0, 1)), (x.movedim(2, 1), (0, 2))):
        even = standardiser(given)(given)
        assert even.mean(dims).abs().max() < 1e-3 and (even.std(dims) - 1).abs().max() < 1e-3


class Stream(IterableDataset[Any]):
    """Rows in order, which every worker reads from the first one on, or each its own share."""

    def __init__(self, shared: bool) -> None:
        self.shared = shared

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        step, first = (1, 0) if worker is None or self.shared else (worker.num_workers, worker.id)
        return ((X[row], Y[row]) for row in range(first, 200, step))


def test_workers_that_read_one_stream() -> None:
    bad, good = (program(train=DataLoader(Stream(shared), 10, num_workers=2)) for shared in (True, False))
    assert found(draws.worker_seeds, bad) == [("worker-seeds", "error")]
    assert found(draws.worker_seeds, good) == []


def test_what_was_skipped_has_the_first_label() -> None:
    random = torch.Generator().manual_seed(0)
    skipped = torch.rand(900, generator=random) < 0.4
    given = torch.where(skipped, 3, Y[:900])
    data = {"val": DataLoader(TensorDataset(X[900:], Y[900:]), 100), "epochs": 2}
    bad, good = (program(train=DataLoader(TensorDataset(X[:900], y), 50), **data) for y in (given, Y[:900]))
    assert ("label-noise", "error") in found(labels.relation, bad)
    assert found(labels.relation, good) == []
