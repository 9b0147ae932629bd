"""Counted randomness: numbers depend on (seed, epoch, index) alone, and are uniform."""

from __future__ import annotations

import torch

from snowball.rng import SampleRandom, epoch_order, mix


def test_a_sample_draws_the_same_in_any_batch() -> None:
    index = torch.arange(1000)
    whole = SampleRandom(3, 5, index).uniform(7)
    part = SampleRandom(3, 5, index[[999, 4, 77]]).uniform(7)
    assert torch.equal(whole[[999, 4, 77]], part)


def test_seed_epoch_index_and_call_all_change_the_numbers() -> None:
    index = torch.arange(100)
    base = SampleRandom(0, 0, index)
    first = base.uniform(4)
    for other in (base.uniform(4), SampleRandom(1, 0, index).uniform(4), SampleRandom(0, 1, index).uniform(4)):
        assert not torch.isclose(first, other).any(dim=1).all()
    assert len(first.flatten().unique()) > 390


def test_numbers_are_uniform_and_uncorrelated() -> None:
    drawn = SampleRandom(0, 0, torch.arange(100_000)).uniform(4)
    assert bool((drawn >= 0).all()) and bool((drawn < 1).all())
    counts = torch.histc(drawn, bins=20, min=0, max=1)
    assert float((counts / 20_000 - 1).abs().max()) < 0.03  # 4.2 standard errors of a bin's count
    correlation = torch.corrcoef(torch.cat([drawn, drawn.roll(1, 0)], 1).T) - torch.eye(8)
    assert float(correlation.abs().max()) < 0.02


def test_the_hash_is_splitmix64() -> None:
    # SplitMix64 from state 0 gives 0xE220A8397B1DCDAF first (Vigna's reference program); mix drops the lowest bit.
    assert mix(0) == 0xE220A8397B1DCDAF >> 1


def test_the_order_of_an_epoch_is_a_permutation_of_its_own() -> None:
    first, second = epoch_order(500, 0, 0), epoch_order(500, 0, 1)
    assert torch.equal(first.sort().values, torch.arange(500))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(500, 0, 0))
