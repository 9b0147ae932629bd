"""Two samples of sound, computed: tones that rise, fall, stay or tremble, and words by a formant synthesiser."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from ...table import Column, Table
from .formants import PAUSE, Voice, say

__all__ = ["LEXICON", "SPOKEN", "TONES", "spoken", "tones"]

RATE = 8000
_TONES, _SPOKEN = 320, 400
_WAYS = ("rise", "fall", "steady", "tremble")
LEXICON: Mapping[str, tuple[str, ...]] = {
    "one": ("W", "AH", "N"),
    "two": ("T", "UW"),
    "three": ("TH", "R", "IY"),
    "four": ("F", "AO", "R"),
    "five": ("F", "AY", "V"),
    "six": ("S", "IH", "K", "S"),
    "nine": ("N", "AY", "N"),
    "yes": ("Y", "EH", "S"),
    "no": ("N", "OW"),
}
"""Words in ARPAbet."""
TONES: dict[str, Any] = {"train.epochs": 12}
SPOKEN: dict[str, Any] = {"train.epochs": 25, "network.width": 96}
"""Recipe values that each sample is best served by, as dotted keys."""


def tones() -> Table:
    """320 recordings of 0.3 to 0.8 s, the same ones every time, in `audio`; what the tone does in `label`.

    Pitch, length and noise differ, so that no single moment tells the class.
    """
    random = np.random.Generator(np.random.Philox(2026))
    cells, labels = [], []
    for row in range(_TONES):
        label = _WAYS[row % len(_WAYS)]
        num = int(RATE * random.uniform(0.3, 0.8))
        time = np.arange(num) / RATE
        share = time / time[-1]
        bend = random.uniform(0.4, 1.0) * {"rise": share, "fall": 1 - share}.get(label, np.full(num, 0.5))
        if label == "tremble":
            bend = bend + 0.08 * np.sin(2 * np.pi * random.uniform(6, 12) * time)
        pitch = random.uniform(250, 900) * 2**bend
        sound = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.minimum(1, 20 * np.minimum(share, 1 - share))
        sound = random.uniform(0.05, 0.5) * (sound + random.uniform(0.02, 0.2) * random.normal(0, 1, num))
        cells.append(_cell(sound))
        labels.append(label)
    columns = {"audio": Column("audio", "audio", cells), "label": Column("label", "label", labels)}
    return Table("tones", columns, [""] * _TONES, lambda row: f"tones, recording {row}", TONES)


@cache
def spoken() -> Table:
    """400 recordings of one to three words, the same ones every time: `audio`, `text`, and who speaks in `speaker`."""
    random = np.random.Generator(np.random.Philox(2027))
    voices = [Voice(random.uniform(90, 230), random.uniform(0.92, 1.15), random.uniform(0.9, 1.25)) for _ in range(8)]
    words = list(LEXICON)
    cells, texts, speakers = [], [], []
    for row in range(_SPOKEN):
        number = row % len(voices)
        said = [words[int(n)] for n in random.integers(len(words), size=random.integers(1, 4))]
        phonemes = [PAUSE]
        for word in said:
            phonemes += [*LEXICON[word], PAUSE]
        cells.append(_cell(say(phonemes, voices[number], random, RATE).samples))
        texts.append(" ".join(said))
        speakers.append(f"voice {number}")
    columns = {
        "audio": Column("audio", "audio", cells),
        "text": Column("text", "text", texts),
        "speaker": Column("speaker", "text", speakers),
    }
    return Table("spoken", columns, [""] * _SPOKEN, lambda row: f"spoken, recording {row}", SPOKEN)


def _cell(samples: np.ndarray) -> dict[str, Any]:
    whole = np.clip(np.rint(samples * 32767), -32767, 32767).astype(np.int16)
    return {"array": whole, "sampling_rate": RATE}
