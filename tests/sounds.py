"""Recordings that tests make."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from snowball.collect.read.formants import PAUSE, Voice, say
from snowball.collect.read.sample_sounds import LEXICON

__all__ = ["encoded", "spoken", "write_sound"]


def spoken(text: str, seed: int = 0, rate: int = 8000) -> np.ndarray:
    """(N,) samples of a text of the lexicon's words."""
    random = np.random.Generator(np.random.Philox(seed))
    phonemes = [PAUSE]
    for word in text.split():
        phonemes += [*LEXICON[word], PAUSE]
    return say(phonemes, Voice(random.uniform(90, 200)), random, rate).samples


def write_sound(path: Path, samples: np.ndarray, rate: int = 8000, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def encoded(samples: np.ndarray, rate: int = 8000, form: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()
