"""Bugs of rows that are drawn, worked out, copied or prepared twice; and programs that rank, or read flat lists."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from snowball.checks import draws, evaluation, labels, leak, loss, metric, minimum, mismatch, overlap, padding, rows

from .programs import TRAIN, VAL, X, Y, errors, found, loader, mlp, program


def table(x: Tensor, y: Tensor) -> dict[str, Any]:
    """A table of numbers and the number that is asked for."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    parts = {"train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL], 64)}
    return program(model, loss=F.mse_loss, **parts)


@pytest.mark.parametrize("of_today", [False, True])
def test_a_mean_that_takes_in_what_is_asked(of_today: bool) -> None:
    random = torch.Generator().manual_seed(0)
    weather = torch.randn(1000, 3, generator=random)
    sold = 0.5 * weather.sum(1) + 0.3 * torch.randn(1000, generator=random)
    lags = torch.stack([sold.roll(1), sold.roll(2)], 1)
    mean = (lags.sum(1) + (sold if of_today else sold.roll(3))) / 3
    x = torch.cat([lags, mean[:, None], weather], 1)
    assert errors(leak.target_leak, table(x, sold)) == (["target-leak"] if of_today else [])


@pytest.mark.parametrize("centred", [False, True])
def test_a_mean_around_a_row_takes_in_what_comes(centred: bool) -> None:
    random = torch.Generator().manual_seed(0)
    load = torch.randn(902, generator=random).cumsum(0) * 0.1 + torch.randn(902, generator=random)
    mean = load.unfold(0, 3, 1).mean(1)  # of rows k, k + 1 and k + 2
    x = torch.stack([load[:899], load[1:900], (mean[1:900] if centred else mean[:899])], 1)  # known at row k + 1
    assert errors(leak.target_leak, table(x, load[3:902])) == (["target-leak"] if centred else [])


@pytest.mark.parametrize("by_patient", [False, True])
def test_visits_of_a_patient_on_both_sides(by_patient: bool) -> None:
    random = torch.Generator().manual_seed(0)
    levels = torch.randn(225, 12, generator=random)
    kinds = (levels[:, 0] + torch.randn(225, generator=random) > 0).long()
    who = torch.arange(900) // 4
    x = levels[who] + 0.2 * torch.randn(900, 12, generator=random)
    order = torch.arange(900) if by_patient else torch.randperm(900, generator=random)
    x, y = x[order], kinds[who][order]
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 2))
    parts = {"train": loader(x[TRAIN], y[TRAIN]), "val": loader(x[VAL], y[VAL], 64)}
    assert errors(overlap.split_overlap, program(model, **parts)) == ([] if by_patient else ["split-overlap"])


def test_a_rule_without_noise_is_no_leak() -> None:
    x = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
    assert errors(leak.target_leak, table(x, 2 * x[:, 0] - x[:, 3])) == []


@pytest.mark.parametrize("own", [False, True])
def test_kinds_of_rows_told_by_the_mean_of_their_answers(own: bool) -> None:
    random = torch.Generator().manual_seed(0)
    shops = torch.randint(150, (900,), generator=random)
    x = torch.randn(900, 4, generator=random)
    y = x[:, 0] + torch.randn(900, generator=random)
    x[:, 3] = 0
    for shop in range(150):
        here = (shops == shop) & (torch.arange(900) < 600)
        for row in (shops == shop).nonzero()[:, 0].tolist():
            others = here if own else here & (torch.arange(900) != row)
            x[row, 3] = y[others].mean() if others.any() else 0.0
    assert errors(leak.target_leak, table(x, y)) == (["target-leak"] if own else [])


@pytest.mark.parametrize("clipped", [False, True])
def test_most_of_a_table_is_constant(clipped: bool) -> None:
    x = torch.rand(1000, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 9, 80, 1, 300, 20])
    x = (x + 1).clamp(0, 1) * torch.ones(6) if clipped else x
    x[:, 0] = torch.rand(1000)
    assert errors(rows.constant_input, table(x, x[:, 0])) == (["constant-input"] if clipped else [])


def sampled(weigh: Any) -> dict[str, Any]:
    """Digits of which zeros are most, drawn by weights of the count of each row's class."""
    kept = torch.cat([(Y == 0).nonzero()[:, 0], (Y > 0).nonzero()[:240, 0]])
    x, y = X[kept], Y[kept]
    sampler = WeightedRandomSampler(weigh(torch.bincount(y)[y].double()), len(y), generator=torch.Generator())
    return program(train=DataLoader(TensorDataset(x, y), 50, sampler=sampler))


def test_a_sampler_that_draws_rare_classes_more_rarely() -> None:
    assert errors(draws.drawn_rarer, sampled(lambda counts: counts**2)) == ["class-imbalance"]
    assert errors(draws.drawn_rarer, sampled(lambda counts: 1 / counts)) == []
    assert errors(draws.drawn_rarer, program()) == []


def test_a_loss_that_weighs_rare_classes_less() -> None:
    kept = torch.cat([(Y == 0).nonzero()[:, 0], (Y > 0).nonzero()[:240, 0]])
    counts = torch.bincount(Y[kept]).float()
    parts = {"train": loader(X[kept], Y[kept], 300)}
    for weight, said in ((counts, ["class-imbalance"]), (1 / counts, []), (None, [])):
        assert errors(rows.weighs_the_rare_less, program(loss=nn.CrossEntropyLoss(weight), **parts)) == said


def test_a_sampler_makes_no_label_that_of_the_row_beside_it() -> None:
    torch.manual_seed(0)
    y = (torch.rand(900) < 0.15).long()
    x = torch.randn(900, 4) + 0.8 * y[:, None]  # hard, and mostly of one class
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    weights = (1 / torch.bincount(y[TRAIN])[y[TRAIN]]).double()
    sampler = WeightedRandomSampler(weights, 600, generator=torch.Generator())
    train = DataLoader(TensorDataset(x[TRAIN], y[TRAIN]), 50, sampler=sampler)
    assert errors(labels.relation, program(model, train=train, val=loader(x[VAL], y[VAL], 64))) == []


class Scorer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, items: Tensor) -> Tensor:
        scored: Tensor = self.net(items)[..., 0]
        return scored


def ranking(ideal_of_found: bool) -> dict[str, Any]:
    """Twelve items a row, graded; a listwise loss, and NDCG at 3."""

    def listwise(scores: Tensor, grades: Tensor) -> Tensor:
        return -(grades.softmax(1) * scores.log_softmax(1)).sum(1).mean()

    def gain(grades: Tensor) -> Tensor:
        return ((2**grades - 1) / torch.arange(2, 5).log2()).sum(1)

    @torch.no_grad()
    def ndcg(model: nn.Module, batches: Any) -> float:
        shares = []
        for items, grades in batches:
            met = grades.gather(1, model(items).topk(3, 1).indices)
            ideal = met.sort(1, descending=True).values if ideal_of_found else grades.topk(3, 1).values
            shares.append(gain(met) / gain(ideal).clamp(min=1e-9))
        return float(torch.cat(shares).mean())

    random = torch.Generator().manual_seed(0)
    items = torch.randn(900, 12, 4, generator=random)
    ranks = (items.sum(2) + torch.randn(900, 12, generator=random)).argsort(1, descending=True).argsort(1)
    grades = torch.tensor([3.0, 3, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0])[ranks]
    parts = {"train": loader(items[TRAIN], grades[TRAIN]), "val": loader(items[VAL], grades[VAL], 64)}
    return program(Scorer(), loss=listwise, evaluate=ndcg, **parts)


def test_ranked_items_are_no_numbers_to_be_hit() -> None:
    assert errors(minimum.minimiser, ranking(False)) == []
    assert errors(metric.metric, ranking(False)) == []


def test_a_metric_of_ranks_that_forgives_what_it_hides() -> None:
    assert errors(metric.metric, ranking(True)) == ["metric-wrong"]


def test_counts_whose_loss_grows_steeply_are_targets_all_the_same() -> None:
    y = torch.poisson(5 * X.sum(1) / 10)
    y[::50] = 60  # the loss of its exponential hides the others
    parts = table(X, y)
    assert found(loss.uses_targets, {**parts, "loss": nn.PoissonNLLLoss(log_input=True)}) == []


def test_a_loss_that_takes_no_heed_of_which_target_is_whose() -> None:
    parts = table(X, X.sum(1))
    assert errors(loss.uses_targets, {**parts, "loss": lambda out, y: (out.mean() - y.mean()) ** 2}) == ["wrong-loss"]


class Reader(nn.Module):
    """Reads words, told where each row ends; takes the state there, or behind all padding."""

    def __init__(self, at_end: bool) -> None:
        super().__init__()
        self.at_end = at_end
        self.words, self.gru, self.out = nn.Embedding(40, 12), nn.GRU(12, 24, batch_first=True), nn.Linear(24, 4)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        states, last = self.gru(self.words(words))
        kept = states[torch.arange(len(words)), lengths - 1] if self.at_end else last[0]
        answers: Tensor = self.out(kept)
        return answers


@pytest.mark.parametrize("at_end", [True, False])
def test_padding_that_the_model_is_told_of(at_end: bool) -> None:
    random = torch.Generator().manual_seed(0)
    words, lengths = torch.randint(1, 40, (900, 24), generator=random), torch.randint(2, 8, (900,), generator=random)
    words[torch.arange(24) >= lengths[:, None]] = 0
    y = words[torch.arange(900), lengths - 1] % 4

    def collate(items: list[Any]) -> Any:
        w, n, answers = (torch.stack(part) for part in zip(*items, strict=True))
        return (w, n), answers

    torch.manual_seed(0)
    model = Reader(at_end)
    parts = {
        name: DataLoader(TensorDataset(words[part], lengths[part], y[part]), 50, collate_fn=collate)
        for name, part in (("train", TRAIN), ("val", VAL))
    }
    parts["optimizer"] = torch.optim.Adam(model.parameters(), 5e-3)
    said = found(padding.padding_leak, program(model, epochs=8, **parts))
    assert said == ([] if at_end else [("padding-leak", "error")])


@pytest.mark.parametrize("first", ["split", "copied"])
def test_texts_that_were_copied_with_words_left_out(first: str) -> None:
    random = torch.Generator().manual_seed(0)
    words = torch.randint(2, 300, (500, 14), generator=random)
    kinds = words[:, 0] % 2
    copies = torch.where(torch.rand(words.shape, generator=random) < 0.12, 1, words)
    if first == "copied":
        order = torch.randperm(1000, generator=random)
        x, y = torch.cat([words, copies])[order], kinds.repeat(2)[order]
        train, val = (x[:800], y[:800]), (x[800:], y[800:])
    else:
        train = torch.cat([words[:400], copies[:400]]), kinds[:400].repeat(2)
        val = words[400:], kinds[400:]
    model = nn.Sequential(nn.EmbeddingBag(300, 8), nn.Linear(8, 2))
    said = errors(overlap.split_overlap, program(model, train=loader(*train), val=loader(*val)))
    assert said == (["split-overlap"] if first == "copied" else [])


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(60, 12), nn.Linear(12, 2)

    def forward(self, words: Tensor, begins: Tensor) -> Tensor:
        answers: Tensor = self.out(self.bag(words, begins))
        return answers


def flat_texts(shuffled: bool) -> dict[str, Any]:
    """Texts of several lengths as one list of words and where each begins, as the bag takes them."""
    random = torch.Generator().manual_seed(0)
    texts = [torch.randint(60, (int(n),), generator=random) for n in torch.randint(3, 12, (900,), generator=random)]
    kinds = torch.tensor([int((text < 30).float().mean() > 0.5) for text in texts])

    def collate(items: list[Any]) -> Any:
        part = [text for text, _ in items]
        begins = torch.tensor([0, *map(len, part[:-1])]).cumsum(0)
        return (torch.cat(part), begins), torch.stack([kind for _, kind in items])

    torch.manual_seed(0)
    model = Bag()
    train_kinds = kinds[TRAIN][torch.randperm(600)] if shuffled else kinds[TRAIN]
    return program(
        model,
        train=DataLoader(list(zip(texts[TRAIN], train_kinds, strict=True)), 50, collate_fn=collate),
        val=DataLoader(list(zip(texts[VAL], kinds[VAL], strict=True)), 64, collate_fn=collate),
        optimizer=torch.optim.Adam(model.parameters(), 2e-2),
        evaluate=lambda model, batches: float(
            torch.cat([(model(*inputs).argmax(1) == y).float() for inputs, y in batches]).mean()
        ),
    )


def test_texts_as_one_flat_list_of_words() -> None:
    assert errors(labels.relation, flat_texts(shuffled=True)) == ["label-misaligned"]
    for check in (labels.relation, metric.metric, overlap.split_overlap, evaluation.dropped_rows):
        assert errors(check, flat_texts(shuffled=False)) == []


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(list(zip(X[TRAIN], Y[TRAIN], strict=True)))


def test_a_stream_that_workers_read() -> None:
    parts = program(train=DataLoader(Stream(), 50, num_workers=2))
    assert errors(rows.constant_input, parts) == []


@pytest.mark.parametrize("alike", [True, False])
def test_held_out_rows_of_another_scale(alike: bool) -> None:
    model = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Tanh(), nn.Linear(288, 10))
    val = loader(X[VAL] if alike else X[VAL] / 16, Y[VAL], 64)
    parts = program(model, val=val, optimizer=torch.optim.Adam(model.parameters(), 5e-3))
    assert errors(mismatch.other_scale, parts) == ([] if alike else ["train-val-mismatch"])


def test_places_in_the_batch_are_no_labels() -> None:
    class Towers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = mlp(), mlp()

        def forward(self, x: Tensor, noisy: Tensor) -> Tensor:
            one, two = F.normalize(self.one(x), dim=1), F.normalize(self.two(noisy), dim=1)
            return 10 * one @ two.T

    def collate(items: list[Any]) -> Any:
        x, noisy = (torch.stack(part) for part in zip(*items, strict=True))
        return (x, noisy), torch.arange(len(x))

    noisy = X + 0.1 * torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = Towers()
    parts = {
        name: DataLoader(TensorDataset(X[part], noisy[part]), 50, shuffle=True, collate_fn=collate)
        for name, part in (("train", TRAIN), ("val", VAL))
    }
    parts["optimizer"] = torch.optim.Adam(model.parameters(), 5e-3)
    assert errors(labels.relation, program(model, **parts)) == []
