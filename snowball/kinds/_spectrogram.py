"""Pictures and sketches of sound, from its short-time spectrum. N samples, T frames, F frequencies."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["draw_sound", "sketch_sound"]

HEIGHT, WAVE = 160, 40  # pixels of the spectrogram, and of the waveform above it
WIDTH = (640, 960)  # pixels, at least and at most
PIXELS_A_SECOND = 200
RANGE = 70.0  # decibels from the loudest that are drawn
TOP = 8000  # Hz; above it there is little to see
# From dark blue over red to a light yellow: each darker than the next, so that it reads in grey too.
_COLOURS = np.array([(10, 8, 40), (80, 18, 110), (170, 42, 90), (236, 105, 40), (250, 200, 70), (255, 255, 220)], float)
PEAKS, AHEAD, FAN = 3, 10, 4  # of a frame, frames within which two are joined, and how many each is joined with
NUMBERS = 32  # in a sketch
FEW = 24  # pairs of peaks below which there is nothing to compare
_MULTIPLIERS = np.random.Generator(np.random.Philox(20261125)).integers(1, 2**63, NUMBERS, dtype=np.uint64) | np.uint64(
    1
)


def _spectrum(samples: np.ndarray, rate: int, num: int) -> np.ndarray:
    """(F, num) power of `num` frames of 25 ms, evenly spread."""
    size = max(64, int(0.025 * rate))
    padded = np.pad(samples, (size // 2, size))
    begins = np.linspace(0, max(0, len(samples) - 1), num).astype(int)
    frames = padded[begins[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32)
    power: np.ndarray = np.square(np.abs(np.fft.rfft(frames, axis=1))).T
    return power


def draw_sound(samples: np.ndarray, rate: int) -> Image.Image:
    """The waveform, and below it the spectrogram: low frequencies at the bottom, 70 dB from dark to light."""
    width = int(np.clip(PIXELS_A_SECOND * len(samples) / rate, *WIDTH))
    power = _spectrum(samples, rate, width)
    power = power[: max(2, int(len(power) * min(1.0, 2 * TOP / rate)))]
    decibels = 10 * np.log10(power + 1e-12)
    shades = np.clip((decibels - decibels.max()) / RANGE + 1, 0, 1) * (len(_COLOURS) - 1)
    low = np.minimum(shades.astype(int), len(_COLOURS) - 2)
    pixels = _COLOURS[low] + (_COLOURS[low + 1] - _COLOURS[low]) * (shades - low)[..., None]
    spectrogram = Image.fromarray(pixels[::-1].astype(np.uint8)).resize((width, HEIGHT), Image.Resampling.BILINEAR)
    picture = Image.new("RGB", (width, WAVE + HEIGHT), "white")
    picture.paste(spectrogram, (0, WAVE))
    edges = np.linspace(0, len(samples), width + 1).astype(int)
    wave = np.asarray(picture).copy()
    scale = (WAVE / 2 - 1) / max(float(np.abs(samples).max()), 1e-6)
    for x in range(width):
        part = samples[edges[x] : max(edges[x] + 1, edges[x + 1])]
        top, bottom = (round(WAVE / 2 - float(value) * scale) for value in (part.max(), part.min()))
        wave[max(0, top) : bottom + 1, x] = (29, 95, 168)
    return Image.fromarray(wave)


def sketch_sound(samples: np.ndarray, rate: int) -> np.ndarray | None:
    """(NUMBERS,) MinHash (Broder, 1997) of pairs of peaks of the spectrum (Wang, 2003); None: too plain to compare.

    It hardly changes with the level, the rate or the coding of a recording, nor with what stands around it.
    """
    size, hop = int(0.064 * rate), int(0.032 * rate)
    if len(samples) < size + hop:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hanning(size).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, : int(0.064 * 4000)]  # (T, F), every 15.6 Hz
    inner = power[:, 1:-1]
    power = np.pad(np.where((inner > power[:, :-2]) & (inner >= power[:, 2:]), inner, 0), ((0, 0), (1, 1)))
    loudest = np.argsort(-power, axis=1)[:, :PEAKS]
    heights = np.take_along_axis(power, loudest, 1)
    time, place = np.nonzero(heights > 1e-3 * heights.max())
    bins = loudest[time, place]
    pairs: list[np.ndarray] = []
    for step in range(1, FAN * PEAKS + 1):  # each peak with those that follow in the list, in time
        apart = time[step:] - time[:-step]
        near = (apart > 0) & (apart <= AHEAD)
        pairs.append((bins[:-step] // 2 * 256 + bins[step:] // 2)[near] * 16 + apart[near])
    keys = np.unique(np.concatenate(pairs)).astype(np.uint64)
    if len(keys) < FEW:
        return None
    sketch: np.ndarray = ((keys[:, None] + np.uint64(1)) * _MULTIPLIERS >> np.uint64(33)).min(0).astype(np.int64)
    return sketch
