"""Counted randomness: what a sample draws depends on (seed, epoch, index) alone, never on what was drawn before.

So the result is the same for any order of work, any number of workers, and any point of interruption.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SampleRandom", "epoch_order", "mix"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLY = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def mix(*numbers: int) -> int:
    """Hash whole numbers into one of 63 bits: the SplitMix64 finaliser (Steele et al., OOPSLA 2014), chained.

    >>> mix(1, 2) != mix(2, 1)
    True
    """
    z = 0
    for number in numbers:
        z = (z + number + _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * _MULTIPLY[0]) & _MASK
        z = ((z ^ (z >> 27)) * _MULTIPLY[1]) & _MASK
        z ^= z >> 31
    return z >> 1


def epoch_order(num_rows: int, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits its rows: a permutation (num_rows,) that depends on (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(mix(seed, epoch, 1))
    return torch.randperm(num_rows, generator=generator)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _finalise(z: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64 tensors; int64 products wrap, and masks make the right shifts logical."""
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * _signed(_MULTIPLY[0])
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * _signed(_MULTIPLY[1])
    return z ^ ((z >> 31) & ((1 << 33) - 1))


class SampleRandom:
    """Random numbers for the samples of one batch, on the batch's device.

    Each call draws fresh numbers; row i of what it returns depends only on (seed, epoch, index[i], call number).

    >>> a = SampleRandom(0, 3, torch.tensor([7, 8])).uniform(2)
    >>> b = SampleRandom(0, 3, torch.tensor([8])).uniform(2)
    >>> bool((a[1] == b[0]).all())
    True
    """

    def __init__(self, seed: int, epoch: int, index: Tensor) -> None:
        self._seed, self._epoch, self._index = seed, epoch, index
        self._key: Tensor | None = None  # (B,), made at the first draw: most steps of most recipes draw nothing
        self._drawn = 0

    def uniform(self, num: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B, num) float32 in [low, high)."""
        if self._key is None:
            self._key = _finalise(self._index * _signed(_GOLDEN) + mix(self._seed, self._epoch, 2))
        counter = torch.arange(self._drawn + 1, self._drawn + 1 + num, device=self._key.device)
        self._drawn += num
        bits = _finalise(self._key[:, None] + counter * _signed(_GOLDEN))
        unit = ((bits >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24
        return unit * (high - low) + low
