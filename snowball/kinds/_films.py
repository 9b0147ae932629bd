"""What kinds share whose raw values hold frames of a film: `frames` (T, H, W) or (T, H, W, 3) uint8, and `facts`."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from ..finding import Finding
from ..kind import Kind, content_digest
from ..table import Part
from ._part import read_part
from ._pieces import tinted
from ._upload import file_bytes, file_of

__all__ = ["FilmKind", "strip", "tinted_strip"]


class FilmKind(Kind):
    """A kind that is read from a path, a file's bytes, a Part of a file, or an array."""

    timed: ClassVar[bool] = True
    fit_rows: ClassVar[int | None] = 32  # each is decoded for it, which takes as long as decoding it to be encoded
    widget: ClassVar[str] = "file"
    accept: ClassVar[str] = "video/*"
    called: ClassVar[str]
    """One of its values, in a word."""

    @classmethod
    @abstractmethod
    def of_array(cls, array: np.ndarray) -> Any:
        """A raw value of frames; raises Unreadable where they are none."""

    @classmethod
    @abstractmethod
    def of_file(cls, source: Path | bytes, start: float = 0.0, end: float = math.inf) -> Any:
        """A raw value of a file's seconds `start` to `end`."""

    @classmethod
    def read(cls, cell: Any) -> Any:
        if isinstance(cell, np.ndarray):
            return cls.of_array(cell)
        if isinstance(cell, Part):
            return read_part(cell, cls.of_file)
        return cls.of_file(file_of(cell, cls.called))

    @classmethod
    def digest(cls, value: Any) -> str:
        return content_digest(str(value.frames.shape), value.frames)

    @classmethod
    def facts(cls, value: Any) -> dict[str, Any]:
        return {**value.facts, "constant": bool((value.frames == value.frames[:1]).all())}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """Those that show one picture all the time."""
        still = sum(fact["constant"] for fact in facts)
        if not still:
            return []
        message = f"{still} of {len(facts)} {self.called}s show the same picture all the time"
        fix = "remove them, or find out what went wrong when they were made"
        return [Finding("constant-input", "warning", message, {"rows": still}, fix)]

    @classmethod
    def from_request(cls, value: bytes | str) -> bytes:
        return file_bytes(value, cls.called)


def tinted_strip(frames: np.ndarray, weights: np.ndarray, height: int) -> Image.Image:
    """One frame a stretch of time, from left to right, under the stretch's weights (stretches, rows, columns)."""
    places = ((np.arange(len(weights)) + 0.5) * len(frames) / len(weights)).astype(int)
    largest = float(np.abs(weights).max())
    shown = [tinted(Image.fromarray(frames[at]), part, largest) for at, part in zip(places, weights, strict=True)]
    return strip(np.stack([np.asarray(picture) for picture in shown]), len(shown), height, "RGB")


def strip(frames: np.ndarray, num: int, height: int, mode: str) -> Image.Image:
    """At most `num` of the frames, evenly spread, from left to right, in Pillow's `mode`."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(num, len(frames))).astype(int)]
    width = max(1, min(3 * height, round(chosen.shape[2] * height / chosen.shape[1])))
    drawn = Image.new(mode, (len(chosen) * (width + 2) - 2, height), "white")
    for number, frame in enumerate(chosen):
        drawn.paste(Image.fromarray(frame).resize((width, height)).convert(mode), (number * (width + 2), 0))
    return drawn
