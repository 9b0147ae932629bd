"""Beam search against every answer there is, against a search written with loops, and sampling against its rules."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from snowball.design.decoding import _choose, beam_search, sample

BEGIN, END, VOCAB = 2, 3, 6  # so the words are 4 and 5


class Table:
    """A fixed random network: what follows depends on the source's first token and on all that was written."""

    def __init__(self, seed: int = 0, sharp: float = 2.0) -> None:
        self.seed, self.sharp, self.rows = seed, sharp, 0

    def row(self, source: int, written: list[int]) -> Tensor:
        number = source
        for token in written:
            number = number * VOCAB + token + 1
        generator = torch.Generator().manual_seed(number + 1000 * self.seed)
        return torch.randn(VOCAB, generator=generator) * self.sharp

    def encode(self, source: Tensor) -> dict[str, Tensor]:
        memory = source[:, :1].float()
        return {"memory": memory, "mask": source != 0, "cache": source.new_zeros((len(source), 0))}

    def step(self, tokens: Tensor, cache: Tensor, memory: Tensor, mask: Tensor) -> dict[str, Tensor]:
        written = torch.cat([cache, tokens], 1)
        self.rows += len(tokens)
        pairs = zip(memory[:, 0].int().tolist(), written.tolist(), strict=True)
        return {"logits": torch.stack([self.row(one, past) for one, past in pairs])[:, None], "cache": written}

    def log_p(self, source: int, answer: list[int]) -> float:
        total = 0.0
        for at, token in enumerate(answer):
            total += float(self.row(source, [BEGIN, *answer[:at]]).log_softmax(0)[token])
        return total


def search(model: Table, source: list[int], limits: list[int], beams: int, penalty: float = 0.0) -> list[list[int]]:
    rows = torch.tensor([[first, 4] for first in source])
    found = beam_search(
        model, rows, begin=BEGIN, end=END, beams=beams, limits=torch.tensor(limits), length_penalty=penalty
    )
    return [row[: row.index(0)] if 0 in row else row for row in found.tolist()]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_best_of_all_answers(seed: int, limit: int) -> None:
    model = Table(seed)
    answers = [[*words, END] for length in range(limit) for words in itertools.product((4, 5), repeat=length)]
    best = max(answers, key=lambda answer: model.log_p(7, answer))
    assert search(model, [7], [limit], beams=16) == [best]


def by_loops(model: Table, source: int, limit: int, beams: int, penalty: float) -> list[int]:
    """The same search, one hypothesis at a time."""
    live, best, best_rank = [([], 0.0)], [], -math.inf
    for length in range(1, limit + 1):
        grown = []
        for words, score in live:
            log_p = model.row(source, [BEGIN, *words]).log_softmax(0).tolist()
            for token in (END,) if length == limit else (END, 4, 5):
                grown.append(([*words, token], score + log_p[token]))
        grown.sort(key=lambda pair: -pair[1])
        for words, score in grown[:beams]:
            if words[-1] == END and score / length**penalty > best_rank:
                best, best_rank = words, score / length**penalty
        live = [pair for pair in grown[: 2 * beams] if pair[0][-1] != END][:beams]
        if not live or best_rank >= live[0][1] / length**penalty:
            break
    return best


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_a_batch_is_searched_as_its_rows_with_loops(beams: int, penalty: float) -> None:
    for seed in range(8):
        model, source, limits = Table(seed, 1.0), [1, 2, 3, 4, 5], [6, 1, 3, 8, 5]
        expected = [by_loops(model, *pair, beams, penalty) for pair in zip(source, limits, strict=True)]
        assert search(model, source, limits, beams, penalty) == expected
        assert [search(model, [s], [n], beams, penalty)[0] for s, n in zip(source, limits, strict=True)] == expected
        assert all(len(row) <= limit and row[-1] == END for row, limit in zip(expected, limits, strict=True))


def test_one_beam_is_greedy() -> None:
    for seed in range(20):
        model, written = Table(seed), [BEGIN]
        while written[-1] != END and len(written) < 6:
            scores = model.row(3, written)
            scores[:END] = -torch.inf
            written.append(int(scores.argmax()))
        written += [END] if written[-1] != END else []
        assert search(model, [3], [6], beams=1) == [written[1:]]


def test_rows_that_are_done_leave_the_batch() -> None:
    model = Table(0)
    search(model, [1, 2, 3], [1, 1, 30], beams=2)
    alone = Table(0)
    search(alone, [3], [30], beams=2)
    assert model.rows == alone.rows + 4  # the other two cost one step of two beams each


class Chain:
    """A language model with a context: the logits are a function of the last two tokens, and it counts positions."""

    def __init__(self, context: int | None = None) -> None:
        self.context, self.longest = context, 0
        self.table = torch.randn(40, 40, 20, generator=torch.Generator().manual_seed(0)) * 2

    def step(self, tokens: Tensor, cache: Tensor) -> dict[str, Tensor]:
        seen = torch.cat([cache, tokens], 1)
        self.longest = max(self.longest, seen.shape[1])
        assert self.context is None or seen.shape[1] <= self.context, "read beyond the context"
        logits = torch.stack([self.table[seen[0, max(0, at - 1)], seen[0, at]] for at in range(seen.shape[1])])
        return {"logits": logits[None, cache.shape[1] :], "cache": seen}


def draw(model: Chain, num: int = 30, prompt: tuple[int, ...] = (5, 6), **keys: float) -> list[int]:
    values = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0, **keys}
    empty = torch.zeros(1, 0, dtype=torch.int64)
    return list(sample(model, torch.tensor(prompt), empty, context=model.context, num=num, **values))


def test_temperature_0_takes_the_likeliest() -> None:
    model, seen = Chain(), [5, 6]
    for token in draw(model, temperature=0.0):
        logits = model.table[seen[-2], seen[-1]].clone()
        logits[:4] = -torch.inf
        assert token == int(logits.argmax())
        seen.append(token)


def test_a_seed_fixes_the_text() -> None:
    assert draw(Chain(), seed=3) == draw(Chain(), seed=3)
    assert draw(Chain(), seed=3) != draw(Chain(), seed=4)
    assert draw(Chain(), num=30)[:10] == draw(Chain(), num=10)
    assert draw(Chain(), num=0) == []
    assert min(draw(Chain(), num=300, temperature=5.0)) >= 4  # what is no text is never drawn


def test_the_context_is_never_overrun_and_the_text_goes_on() -> None:
    """All that this network looks at is two tokens, so forgetting the older half must not change what it writes."""
    for context in (4, 5, 8):
        for length in (1, 3, 4, 5, 20):
            prompt = tuple(4 + number % 9 for number in range(length))
            model = Chain(context)
            found = draw(model, num=40, prompt=prompt, temperature=0.0)
            assert len(found) == 40
            assert model.longest == context
            assert found == draw(Chain(), num=40, prompt=prompt, temperature=0.0)
    assert len(draw(Chain(2), num=9)) == 9


def _drawn(
    logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, num: int = 3000
) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    counts = [0] * len(logits)
    for _ in range(num):
        counts[_choose(logits, temperature, top_k, top_p, generator)] += 1
    return [count / num for count in counts]


def test_top_k_and_top_p_bound_what_is_drawn() -> None:
    shares = torch.tensor([0, 0, 0, 0, 0.1, 0.4, 0.2, 0.3])
    logits = shares.log()
    logits[:4] = 9.0  # the largest by far, and never drawn
    assert _drawn(logits) == pytest.approx(shares.tolist(), abs=0.03)
    assert _drawn(logits, top_k=2) == pytest.approx([0, 0, 0, 0, 0, 4 / 7, 0, 3 / 7], abs=0.03)
    assert _drawn(logits, top_p=0.65) == pytest.approx([0, 0, 0, 0, 0, 4 / 7, 0, 3 / 7], abs=0.03)
    assert _drawn(logits, top_p=0.75) == pytest.approx([0, 0, 0, 0, 0, 4 / 9, 2 / 9, 3 / 9], abs=0.03)
    assert _drawn(logits, top_p=0.01) == [0, 0, 0, 0, 0, 1, 0, 0]  # one is always left
    cold = shares[4:].square() / shares[4:].square().sum()
    assert _drawn(logits, temperature=0.5)[4:] == pytest.approx(cold.tolist(), abs=0.03)
