"""Variants of sound while training, in batches and on the device. B rows of L samples, padded at the end; K masks.

What is drawn for a row depends on its counted randomness alone. Noise is drawn last: it takes as many numbers as the
longest row has samples, and whatever is drawn after it would hang on the batch.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ..recipe import Section
from ..rng import SampleRandom

__all__ = ["SoundAugment", "augment_sounds", "draw_masks", "with_noise"]

QUIET = 40.0  # decibels of signal over noise that are as good as none


class SoundAugment(Section):
    """How sound is varied while training."""

    key = "augment"

    speed: float = Field(0.0, ge=0, lt=0.5)
    """Played faster or slower by up to this share, pitch and all (Ko et al., 2015)."""
    gain: float = Field(0.0, ge=0, le=40)
    """Louder or softer by up to this many decibels."""
    snr: float | None = Field(None, ge=-10, lt=QUIET)
    """White noise, this many decibels below the sound at the loudest, evenly up to 40. Default: none."""
    masked_bands: int = Field(0, ge=0, le=10)
    """Bands of frequency that are blanked out (SpecAugment; Park et al., 2019)."""
    band: float = Field(0.15, gt=0, le=1)
    """The widest such band, as a share of all frequencies."""
    masked_spans: int = Field(0, ge=0, le=20)
    """Stretches of time that are blanked out."""
    span: float = Field(0.1, gt=0, le=1)
    """The longest such stretch, as a share of the row."""


def augment_sounds(section: SoundAugment, sounds: Tensor, padding: int, rng: SampleRandom) -> Tensor:
    """(B, L) int16 to (B, L') int16, padded with the same value at the end."""
    if not (section.speed or section.gain or section.snr is not None):
        return sounds
    lengths = (sounds != padding).sum(1)  # (B,)
    samples = sounds.float() * (sounds != padding)
    if section.speed:
        samples, lengths = _played(samples, lengths, rng.uniform(1, 1 - section.speed, 1 + section.speed)[:, 0])
    inside = torch.arange(samples.shape[1], device=samples.device) < lengths[:, None]
    gains = rng.uniform(1, -section.gain, section.gain)
    if section.snr is not None:
        samples = samples + _noise(samples, lengths, rng.uniform(1, section.snr, QUIET), rng)
    samples = samples * 10 ** (gains / 20)
    whole = samples.round().clamp(-32767, 32767).to(torch.int16)
    return whole.masked_fill(~inside, padding)


def with_noise(sounds: Tensor, padding: int, decibels: Tensor, rng: SampleRandom) -> Tensor:
    """(B, L) int16 with white noise, so many decibels (B, 1) below each row's level; softer where it would clip."""
    inside = sounds != padding
    samples = sounds.float() * inside
    samples = samples + _noise(samples, inside.sum(1), decibels, rng) * inside
    samples = samples * (32767 / samples.abs().amax(1, keepdim=True).clamp(min=32767))
    return samples.round().to(torch.int16).masked_fill(~inside, padding)


def _noise(samples: Tensor, lengths: Tensor, decibels: Tensor, rng: SampleRandom) -> Tensor:
    level = (samples.square().sum(1) / lengths.clamp(min=1)).sqrt()[:, None]
    noise = rng.uniform(samples.shape[1], -1.0, 1.0) * 3**0.5  # of deviation 1
    return noise * level * 10 ** (-decibels / 20)


def _played(samples: Tensor, lengths: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Rows at other speeds (B,), between samples by a straight line, and how long they are then."""
    new = (lengths / speed).long().clamp(min=1)
    places = torch.arange(int(new.max()), device=samples.device) * speed[:, None]  # (B, L')
    before = places.long()
    last = samples.shape[1] - 1
    first, second = samples.gather(1, before.clamp(max=last)), samples.gather(1, (before + 1).clamp(max=last))
    return torch.lerp(first, second, places - before), new


def draw_masks(section: SoundAugment, rng: SampleRandom) -> Tensor | None:
    """(B, K, 4) what SpecAugment blanks out: begin and end in frequency, then in time, as shares of each row's own."""
    bands, spans = section.masked_bands, section.masked_spans
    if not bands + spans:
        return None
    drawn = rng.uniform(2 * (bands + spans)).unflatten(1, (bands + spans, 2))  # (B, K, 2)
    widest = torch.tensor([section.band] * bands + [section.span] * spans, device=drawn.device)
    width = drawn[..., 0] * widest
    begin = drawn[..., 1] * (1 - width)
    masks = torch.stack([torch.zeros_like(width), torch.ones_like(width)] * 2, 2)
    masks[:, :bands, 0], masks[:, :bands, 1] = begin[:, :bands], (begin + width)[:, :bands]
    masks[:, bands:, 2], masks[:, bands:, 3] = begin[:, bands:], (begin + width)[:, bands:]
    return masks
