"""Audio: a recording as 16 bit samples of one channel at one rate. B rows, L samples in the longest row of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from ..finding import BadInput, Finding
from ..kind import Batch, Follow, Kind, Pieces, Unreadable, content_digest
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ..table import Part
from ._minhash import near_by_minhash
from ._part import read_part
from ._pieces import cut, spans_of_time, tinted
from ._sound_augment import SoundAugment, augment_sounds, draw_masks
from ._sound_file import MAX_SECONDS, SOUND_SUFFIXES, Sound, as_wav, read_sound, resampled, sound_of_samples
from ._spectrogram import draw_sound, sketch_sound
from ._upload import file_bytes, file_of

__all__ = ["PADDING", "AudioKind", "AudioSection", "masks_of"]

PADDING = -32768
"""The sample that is none: what is encoded stops one short of it."""
MAX_AUTO_RATE = 16_000  # Hz: speech is understood up to 8 kHz, half of it
PLAYED = 15  # seconds at most that a page carries of a recording
STRETCHES = 24  # of time that an explanation cuts a recording into
SILENT = 1e-4  # of full scale, -80 dB: below what a microphone hears of an empty room
OFFSET = 0.02  # of full scale
CLIPPED = 0.001  # share of samples at full scale
ODD = 0.1  # share of files of another rate up to which they are the exception


class AudioSection(Section):
    """How sound is encoded, and what the network hears of it."""

    key = "audio"

    rate: int | None = Field(None, ge=1000, le=96_000)
    """Samples a second that everything is resampled to. Default: the most frequent rate, at most 16,000."""
    max_seconds: float = Field(30.0, gt=0, le=MAX_SECONDS)
    """Longer recordings are set aside, and named; columns `start` and `end` cut them."""
    mels: int = Field(40, ge=8, le=256)
    """Bands of frequency, evenly spaced on the mel scale. 80 is usual at 16,000 samples a second."""
    window_ms: float = Field(25.0, ge=5, le=200)
    """How long a frame listens, in milliseconds."""
    hop_ms: float = Field(10.0, ge=2, le=100)
    """How far apart frames are, in milliseconds."""


class AudioKind(Kind):
    """State: `rate` in Hz, and `seconds`, the longest of the recordings that were looked at.

    A raw value is a Sound. Encoded it is (L,) int16, resampled; a batch is padded with PADDING, so that its
    lengths are seen from itself.
    """

    key = "audio"
    sections = (AudioSection, SoundAugment)
    suffixes: ClassVar[frozenset[str]] = SOUND_SUFFIXES
    padding: ClassVar[int | None] = PADDING
    timed: ClassVar[bool] = True
    metadata: ClassVar[tuple[str, ...]] = ("rate", "channels", "format", "encoding", "suffix", "seconds")
    traits: ClassVar[tuple[str, ...]] = ("level",)
    fit_rows: ClassVar[int | None] = 200
    widget: ClassVar[str] = "file"
    accept: ClassVar[str] = "audio/*"

    @classmethod
    def read(cls, cell: Any) -> Sound:
        """`cell` is a path, a file's bytes, a Part of a file, or {"array", "sampling_rate"} or {"bytes", "path"}."""
        if isinstance(cell, Part):
            return read_part(cell, read_sound)
        if isinstance(cell, Mapping) and "array" in cell:
            return _sound_of_array(np.asarray(cell["array"]), cell.get("sampling_rate"))
        return read_sound(file_of(cell, "sound"))

    @classmethod
    def fit(cls, values: Iterable[Sound], recipe: Recipe) -> dict[str, Any]:
        rates: Counter[int] = Counter()
        longest = 0.0
        for sound in values:
            rates[sound.rate] += 1
            longest = max(longest, sound.seconds)
        if not rates:
            raise BadInput("no readable sound among the training rows")
        rate = recipe[AudioSection].rate or max(1000, min(MAX_AUTO_RATE, rates.most_common(1)[0][0]))
        return {"rate": rate, "seconds": round(longest, 2)}

    @property
    def rate(self) -> int:
        return int(self.state["rate"])

    def encode(self, value: Sound) -> Tensor:
        """(L,) int16"""
        most = self.recipe[AudioSection].max_seconds
        if value.seconds > most:
            raise Unreadable(f"{value.seconds:,.1f} s are more than audio.max_seconds={most:g}")
        return torch.from_numpy(resampled(value, self.rate))

    def nothing(self) -> Tensor:
        return torch.full((1,), PADDING, dtype=torch.int16)

    def input_axes(self) -> dict[int, str]:
        return {1: "samples"}

    @classmethod
    def digest(cls, value: Sound) -> str:
        return content_digest(str(value.rate), value.samples)

    @classmethod
    def facts(cls, value: Sound) -> dict[str, Any]:
        return dict(value.facts)

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not facts:
            return {}
        seconds = np.array([fact["seconds"] for fact in facts])
        quantiles = {"shortest": 0.0, "median": 0.5, "longest": 1.0}
        return {
            "rates": {f"{rate} Hz": rows for rate, rows in Counter(fact["rate"] for fact in facts).most_common()},
            "seconds": {
                **{name: round(float(np.quantile(seconds, q)), 2) for name, q in quantiles.items()},
                "in all": round(float(seconds.sum()), 1),
            },
        }

    def sketch(self, value: Sound) -> np.ndarray | None:
        return sketch_sound(value.samples, value.rate)

    @classmethod
    def near_copies(cls, sketches: np.ndarray) -> np.ndarray:
        return near_by_minhash(sketches)

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        num = len(facts)
        findings = []

        def add(check: str, rows: list[Mapping[str, Any]], message: str, fix: str, **evidence: Any) -> None:
            if rows:
                text = f"{len(rows)} of {num} recordings {message}"
                findings.append(Finding(check, "warning", text, {"rows": len(rows), **evidence}, fix))

        clipped = [fact for fact in facts if fact["clipped"] > CLIPPED]
        worst = max((fact["clipped"] for fact in clipped), default=0.0)
        about = f"are clipped: up to {worst:.1%} of their samples stand at full scale, where they were louder"
        add("clipped-audio", clipped, about, "record at a lower level, or leave them out", worst=worst)
        silent = [fact for fact in facts if fact["level"] < SILENT]
        add("silent-audio", silent, "are silent (below -80 dB)", "remove them, or find out why")
        shifted = [fact for fact in facts if abs(fact["offset"]) > OFFSET]
        add("dc-offset", shifted, f"are shifted by more than {OFFSET:g} of full scale", "subtract each one's mean")
        return findings + self._audit_rates(facts)

    def _audit_rates(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = []
        rates = Counter(fact["rate"] for fact in facts)
        usual, rows = rates.most_common(1)[0] if rates else (0, 0)
        others = {f"{rate} Hz": count for rate, count in rates.most_common() if rate != usual}
        if others:
            few = len(facts) - rows <= ODD * len(facts)
            message = (
                f"{len(facts) - rows} of {len(facts)} recordings are not at {usual:,} Hz but at {', '.join(others)}"
            )
            fix = "all are resampled; listen to some: a header may name a wrong rate" if few else "all are resampled"
            findings.append(Finding("mixed-rates", "warning" if few else "note", message, others, fix))
        narrow = [fact for fact in facts if 0 < fact["band"] < 0.45 * min(fact["rate"], self.rate) / 2]
        if narrow and len(narrow) <= ODD * len(facts):
            message = f"{len(narrow)} of {len(facts)} recordings hold nothing in the upper half of their frequencies"
            fix = "listen to them: recorded at a lower rate than the others, or muffled"
            findings.append(Finding("narrow-band", "note", message, {"rows": len(narrow)}, fix))
        return findings

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        """Masks go beside the sound, see `masks_of`: they are of what the network makes of it."""
        section = self.recipe[SoundAugment]
        masks = draw_masks(section, rng)
        inputs = dict(batch.inputs)
        if masks is not None:
            inputs[masks_of(role)] = masks
        inputs[role] = augment_sounds(section, batch.inputs[role], PADDING, rng)
        return replace(batch, inputs=inputs)

    def pieces(self, value: Sound, encoded: Tensor) -> Pieces:
        """Stretches of time, which become silent."""
        of, lie = cut(encoded.shape, (STRETCHES,))
        return Pieces(spans_of_time(value.seconds, *lie), of[None], torch.zeros(1, 1, dtype=encoded.dtype), lie)

    def draw_pieces(self, value: Sound, weights: np.ndarray) -> Image.Image:
        return tinted(self.draw(value), weights[None], float(np.abs(weights).max()))

    def draw(self, value: Sound) -> Image.Image:
        """The waveform above the spectrogram, from left to right."""
        return draw_sound(value.samples, value.rate)

    def playable(self, value: Sound) -> tuple[str, bytes] | None:
        rate = min(value.rate, MAX_AUTO_RATE)
        part = replace(value, samples=value.samples[: PLAYED * value.rate])
        return "audio/wav", as_wav(resampled(part, rate), rate)

    def notes(self, value: Sound) -> list[str]:
        notes = []
        if value.facts["level"] < SILENT:
            notes.append("the recording is silent")
        if value.facts["clipped"] > CLIPPED:
            notes.append(f"{value.facts['clipped']:.1%} of its samples are clipped")
        if value.rate < self.rate:
            notes.append(f"recorded at {value.rate:,} Hz: above {value.rate // 2:,} Hz the network hears nothing of it")
        return notes

    @classmethod
    def from_request(cls, value: bytes | str) -> bytes:
        return file_bytes(value, "sound file")


def masks_of(role: str) -> str:
    """The name of the input that holds the masks of a role while training: (B, K, 4), see draw_masks."""
    return f"{role}_masks"


def _sound_of_array(array: np.ndarray, rate: Any) -> Sound:
    """Samples (N,) or (N, C), whole numbers of 16 bit or fractions in -1..1."""
    if not isinstance(rate, int) or not 0 < rate <= 384_000:
        raise Unreadable(f"sampling_rate {rate!r} is not a number of samples a second")
    if array.ndim not in (1, 2) or array.dtype.kind not in "if" or not array.size:
        raise Unreadable(f"an array of {array.dtype} {array.shape} is no sound: (N,) or (N, C) of int16 or floats is")
    if len(array) > MAX_SECONDS * rate:
        raise Unreadable(f"{len(array) / rate:,.0f} s of sound: at most {MAX_SECONDS:,.0f} s a row")
    samples = array.astype(np.float32) / (32768.0 if array.dtype.kind == "i" else 1.0)
    samples = samples[:, None] if samples.ndim == 1 else samples
    return sound_of_samples(samples, {"rate": rate, "channels": samples.shape[1]})
