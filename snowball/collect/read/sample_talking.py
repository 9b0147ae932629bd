"""Talking: words by the formant synthesiser, and a drawn mouth that follows its phonemes. Computed, no file.

The lexicon pairs what eyes confuse and ears do not (pea, me: pressed lips) with what noise makes ears confuse and eyes
do not (me, knee: murmurs), so that each stream alone tells a part of the words, and both tell all of them.
T frames, H, W.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ...table import Column, Table
from .formants import PAUSE, PHONEMES, Spoken, Voice, say

__all__ = ["LEXICON", "TALKING", "draw_mouth", "talking"]

RATE, FRAMES = 8000, 25  # samples and frames a second
_ROWS, _SIZE = 400, (16, 32)
_BLUR = 0.07  # seconds over which lips go from one shape to the next
LEXICON: Mapping[str, tuple[str, ...]] = {
    "pea": ("P", "IY"),
    "me": ("M", "IY"),
    "fee": ("F", "IY"),
    "see": ("S", "IY"),
    "knee": ("N", "IY"),
    "pay": ("P", "EY"),
    "may": ("M", "EY"),
    "say": ("S", "EY"),
    "nay": ("N", "EY"),
    "foe": ("F", "OW"),
    "so": ("S", "OW"),
    "mow": ("M", "OW"),
    "no": ("N", "OW"),
}
"""Words in ARPAbet."""
TALKING: dict[str, Any] = {
    **{"train.epochs": 64, "train.batch_size": 8, "optim.lr": 0.005, "augment.snr": -10.0, "audio.mels": 40},
    **{"network.width": 64, "network.channels": 16, "network.stride": 4, "network.layers": 1},
}
"""Recipe values that the sample is best served by, as dotted keys."""
# How wide lips are while a phoneme is spoken: rounded below 1, spread above it.
_SPREAD = {"AO": 0.7, "UW": 0.5, "W": 0.5, "R": 0.8, "SH": 0.7, "IY": 1.25, "EH": 1.15, "S": 1.1, "Z": 1.1, "N": 1.1}
_TEETH = ("F", "V")  # whose upper teeth stand on the lower lip


@cache
def talking() -> Table:
    """400 films of one to three words, the same ones every time: `video`, its sound in `audio`, `text`, `speaker`."""
    random = np.random.Generator(np.random.Philox(2028))
    voices = [Voice(random.uniform(90, 230), random.uniform(0.92, 1.15), random.uniform(0.9, 1.15)) for _ in range(8)]
    faces = [random.uniform((0.55, -1, -2, 110, 30), (0.75, 1, 2, 190, 70)) for _ in voices]
    words = list(LEXICON)
    films, sounds, texts, speakers = [], [], [], []
    for row in range(_ROWS):
        number = row % len(voices)
        said = [words[int(n)] for n in random.integers(len(words), size=random.integers(1, 4))]
        phonemes = [PAUSE]
        for word in said:
            phonemes += [*LEXICON[word], PAUSE]
        spoken = say(phonemes, voices[number], random, RATE)
        films.append(draw_mouth(spoken, faces[number], random))
        whole = np.clip(np.rint(spoken.samples * 32767), -32767, 32767).astype(np.int16)
        sounds.append({"array": whole, "sampling_rate": RATE})
        texts.append(" ".join(said))
        speakers.append(f"voice {number}")
    columns = {
        "video": Column("video", "video", films),
        "audio": Column("audio", "audio", sounds),
        "text": Column("text", "text", texts),
        "speaker": Column("speaker", "text", speakers),
    }
    return Table("talking", columns, [""] * _ROWS, lambda row: f"talking, film {row}", TALKING)


def draw_mouth(spoken: Spoken, face: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(T, H, W) uint8, 25 a second from the first sample on.

    `face` is the mouth's size as a factor, where it is off the middle in pixels (down, right), and the grey level of
    the skin, and how much darker lips are.
    """
    num = max(1, round(spoken.times[-1][2] * FRAMES))
    moments = (np.arange(num) + 0.5) / FRAMES
    steps = np.arange(int(spoken.times[-1][2] * 1000) + 1) / 1000
    parts = [name for name, _, _ in spoken.times]
    ends = np.array([end for _, _, end in spoken.times])
    at = np.minimum(np.searchsorted(ends, steps, side="right"), len(parts) - 1)
    shape = np.array([(PHONEMES[p].lips, _SPREAD.get(p, 1.0), float(p in _TEETH)) for p in parts])[at]
    window = np.hanning(int(1000 * _BLUR) + 2)[1:-1]
    half = len(window) // 2
    padded = np.pad(shape, ((half, len(window) - half - 1), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], 1)
    opened, spread, teeth = (np.interp(moments, steps, column)[:, None, None] for column in smooth.T)
    size, down, right, skin, dark = face
    height, width = _SIZE
    y = (np.arange(height)[:, None] - height / 2 + 0.5 - down) / size
    x = (np.arange(width) - width / 2 + 0.5 - right) / size
    half_width, gap = 13 * spread, 7 * opened
    arch = np.clip(1 - (x / half_width) ** 2, 0, None) ** 0.5  # (T, 1, W)
    inner, outer = gap * arch, (gap + 3.5) * arch
    lips = 1 / (1 + np.exp(2 * (np.abs(y) - outer)))  # soft edges: a pixel is wider than a lip's
    mouth = 1 / (1 + np.exp(3 * (np.abs(y) - inner + 0.3)))
    tooth = mouth * (y < -0.3 * inner) * (opened > 0.3) + teeth * (np.abs(y - 1.5) < 1) * (np.abs(x) < 7) * 0.8
    grey = skin - dark * lips * (1 - mouth) - (skin - 20) * mouth + 150 * np.clip(tooth, 0, 1)
    grey = grey + random.normal(0, 6, grey.shape) + random.uniform(-10, 10)
    pixels: np.ndarray = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return pixels
