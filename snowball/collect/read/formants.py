"""A small formant synthesiser: phonemes to a waveform, and when each of them sounds.

Voices are harmonics of a pitch under three resonances of the mouth (Fant, 1960; vowels after Peterson and Barney,
1952), hisses are noise in a band. Good enough that each word sounds unlike the others, and far from natural.
N samples, M milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["PAUSE", "PHONEMES", "Phoneme", "Spoken", "Voice", "say"]

PAUSE = "_"
GLIDE = 40  # milliseconds over which one phoneme becomes the next
WIDTHS = (80.0, 110.0, 160.0)  # Hz of the resonances
WEIGHTS = (1.0, 0.6, 0.25)
FRAME = 128  # samples of a frame of noise


class Phoneme(NamedTuple):
    """Resonances in Hz, how loud voice and hiss are, where the hiss lies in Hz, seconds, and how open the lips are."""

    formants: tuple[float, float, float]
    voice: float
    hiss: float = 0.0
    band: tuple[float, float] = (2000.0, 1000.0)
    """The middle of the hiss, and how far it reaches to either side."""
    seconds: float = 0.09
    lips: float = 0.3


PHONEMES: Mapping[str, Phoneme] = {
    PAUSE: Phoneme((500, 1500, 2500), 0.0, seconds=0.12, lips=0.05),
    "AA": Phoneme((730, 1090, 2440), 1.0, seconds=0.13, lips=1.0),
    "AH": Phoneme((640, 1190, 2390), 0.9, lips=0.6),
    "AO": Phoneme((570, 840, 2410), 1.0, seconds=0.13, lips=0.7),
    "EH": Phoneme((530, 1840, 2480), 1.0, seconds=0.11, lips=0.7),
    "IH": Phoneme((390, 1990, 2550), 0.9, seconds=0.08, lips=0.5),
    "IY": Phoneme((270, 2290, 3010), 0.9, seconds=0.13, lips=0.4),
    "UW": Phoneme((300, 870, 2240), 0.9, seconds=0.14, lips=0.25),
    "L": Phoneme((360, 1300, 2700), 0.6, seconds=0.07, lips=0.4),
    "M": Phoneme((250, 1000, 2200), 0.4, seconds=0.08, lips=0.0),
    "N": Phoneme((250, 1500, 2500), 0.4, seconds=0.08, lips=0.3),
    "R": Phoneme((330, 1060, 1480), 0.7, seconds=0.07, lips=0.35),
    "W": Phoneme((290, 610, 2150), 0.7, seconds=0.07, lips=0.15),
    "F": Phoneme((400, 1400, 2500), 0.0, 0.25, (2500, 1500), 0.10, 0.1),
    "V": Phoneme((300, 1300, 2500), 0.4, 0.12, (2500, 1500), 0.06, 0.1),
    "S": Phoneme((400, 1600, 2600), 0.0, 0.6, (3600, 500), 0.11, 0.25),
    "Z": Phoneme((300, 1600, 2600), 0.35, 0.4, (3600, 500), 0.09, 0.25),
    "SH": Phoneme((400, 1600, 2600), 0.0, 0.6, (2500, 500), 0.11, 0.3),
    "TH": Phoneme((400, 1500, 2500), 0.0, 0.15, (3000, 1200), 0.09, 0.3),
    "K.": Phoneme((350, 1700, 2400), 0.0, 0.5, (1800, 500), 0.03, 0.4),
    "P.": Phoneme((350, 900, 2200), 0.0, 0.4, (900, 500), 0.03, 0.4),
    "T.": Phoneme((350, 1700, 2600), 0.0, 0.6, (3300, 700), 0.03, 0.3),
    "closed": Phoneme((300, 1400, 2500), 0.0, seconds=0.05, lips=0.2),
    "pressed": Phoneme((300, 900, 2200), 0.0, seconds=0.05, lips=0.0),
}
_COMPOUND: Mapping[str, tuple[str, ...]] = {
    "AY": ("AA", "IY"),
    "EY": ("EH", "IY"),
    "Y": ("IY",),
    "OW": ("AO", "UW"),
    "K": ("closed", "K."),
    "P": ("pressed", "P."),
    "T": ("closed", "T."),
}


@dataclass(frozen=True)
class Voice:
    """Who speaks: pitch in Hz, resonances as a factor (a shorter throat has higher ones), and speed as a factor."""

    pitch: float = 120.0
    throat: float = 1.0
    pace: float = 1.0


class Spoken(NamedTuple):
    """Samples (N,) in -1..1, and each part of what was asked with its begin and end in seconds, pauses too."""

    samples: np.ndarray
    times: list[tuple[str, float, float]]


def say(phonemes: Sequence[str], voice: Voice, random: np.random.Generator, rate: int = 8000) -> Spoken:
    """Speak a sequence of ARPAbet phonemes; `_` is a pause. Lengths, pitch and breath vary with `random`.

    >>> spoken = say(["_", "N", "AY", "N", "_"], Voice(), np.random.Generator(np.random.Philox(0)))
    >>> [name for name, _, _ in spoken.times], round(spoken.times[-1][2], 3) == len(spoken.samples) / 8000
    (['_', 'N', 'AA', 'IY', 'N', '_'], True)
    """
    parts = [part for phoneme in phonemes for part in _COMPOUND.get(phoneme, (phoneme,))]
    lasts = [max(20, int(1000 * PHONEMES[part].seconds * random.uniform(0.85, 1.2) / voice.pace)) for part in parts]
    ends = np.cumsum(lasts)
    tracks = _tracks(parts, lasts)
    num = int(ends[-1]) * rate // 1000
    tracks = {name: np.interp(np.arange(num) * 1000 / rate, np.arange(len(t)), t) for name, t in tracks.items()}
    samples = _voiced(tracks, voice, random, rate) + _hissed(tracks, random, rate)
    samples = samples + random.normal(0, 0.002, num)
    samples = (samples * (0.5 / max(1e-6, float(np.abs(samples).max())))).astype(np.float32)
    begins = [0, *ends[:-1].tolist()]
    times = [(part, begin / 1000, int(end) / 1000) for part, begin, end in zip(parts, begins, ends, strict=True)]
    return Spoken(samples, times)


def _tracks(parts: Sequence[str], lasts: Sequence[int]) -> dict[str, np.ndarray]:
    """What the mouth does at every millisecond (M,): each quantity glides from one phoneme's to the next."""
    rows = np.array([(*PHONEMES[part].formants, *PHONEMES[part][1:3], *PHONEMES[part].band) for part in parts])
    held = np.repeat(rows, lasts, axis=0)  # (M, 7)
    window = np.hanning(GLIDE + 2)[1:-1]
    padded = np.pad(held, ((GLIDE // 2, GLIDE - GLIDE // 2 - 1), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T])
    return dict(zip(("f1", "f2", "f3", "voice", "hiss", "middle", "reach"), smooth, strict=True))


def _voiced(tracks: Mapping[str, np.ndarray], voice: Voice, random: np.random.Generator, rate: int) -> np.ndarray:
    num = len(tracks["voice"])
    wobble = 1 + 0.03 * np.sin(2 * np.pi * (random.uniform(3, 5) * np.arange(num) / rate + random.uniform()))
    pitch = voice.pitch * wobble * np.linspace(1.08, 0.9, num)  # it falls towards the end
    turn = np.exp(2j * np.pi * np.cumsum(pitch) / rate)
    harmonics = np.arange(1, int(rate / 2 / pitch.max()))
    coarse = slice(None, None, max(1, rate // 1000))  # envelopes change slowly: once a millisecond will do
    hertz = harmonics[:, None] * pitch[coarse]
    envelopes = np.zeros_like(hertz)  # (harmonics, M)
    for name, width, weight in zip(("f1", "f2", "f3"), WIDTHS, WEIGHTS, strict=True):
        envelopes += weight / (1 + ((hertz - voice.throat * tracks[name][coarse]) / width) ** 2)
    envelopes /= np.sqrt(harmonics)[:, None]
    sound, wave = np.zeros(num), np.ones(num, dtype=complex)
    for envelope in envelopes:
        wave = wave * turn
        sound += np.repeat(envelope, rate // 1000)[:num] * wave.imag
    voiced: np.ndarray = sound * tracks["voice"]
    return voiced


def _hissed(tracks: Mapping[str, np.ndarray], random: np.random.Generator, rate: int) -> np.ndarray:
    """Noise in the band of each moment, by overlapping frames of its spectrum."""
    num = len(tracks["hiss"])
    begins = np.arange(0, num, FRAME // 2)
    loud, middle, reach = (tracks[name][begins][:, None] for name in ("hiss", "middle", "reach"))
    hertz = np.fft.rfftfreq(FRAME, 1 / rate)
    noise = np.fft.rfft(random.normal(0, 1, (len(begins), FRAME))) * np.exp(-0.5 * ((hertz - middle) / reach) ** 2)
    frames: np.ndarray = loud * np.fft.irfft(noise, FRAME) * np.hanning(FRAME)  # (frames, FRAME)
    halves = np.pad(frames.reshape(-1, 2, FRAME // 2), ((0, 1), (0, 0), (0, 0)))
    halves[1:, 0] += frames[:, FRAME // 2 :]
    sound: np.ndarray = halves[:, 0].reshape(-1)[:num]
    return sound
