"""Decode the sound track of a film, in step with its pictures. Shapes: N samples, C channels.

The first sample stands where the first picture begins, by the file's time stamps: sound that begins later has silence
before it, and what sounds before the first picture is left out. Gaps between time stamps become silence.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..kind import Absent, Unreadable
from ._video_file import brief, container_of, pictures_of

__all__ = ["read_track"]

GAP = 0.03  # seconds by which time stamps may be off before they count: they are rounded, to 1 / 1000 s in .mkv


def read_track(
    source: Path | bytes, start: float, end: float, most_seconds: float, most_samples: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Samples (N, C) float32 of the part from `start` to `end` seconds, and `rate`, `channels`, `begins` ...

    `begins` is how many seconds after the first picture the sound begins. Raises Unreadable, and Absent where the film
    has no sound.
    """
    try:
        with container_of(source) as container:
            return _read(container, source, start, end, most_seconds, most_samples)
    except (Unreadable, OSError):
        raise
    except Exception as error:  # hostile bytes make FFmpeg's parsers raise nearly anything
        raise Unreadable(f"damaged ({brief(error)})") from error


def _read(
    container: Any, source: Path | bytes, start: float, end: float, most_seconds: float, most_samples: int
) -> tuple[np.ndarray, dict[str, Any]]:
    if not container.streams.audio:
        raise Absent("no sound in it: pictures alone")
    stream = container.streams.audio[0]
    rate, channels = stream.rate or 0, stream.channels or 0
    if not 0 < rate <= 384_000 or not 0 < channels <= 64:
        raise Unreadable(f"a sound track of {channels} channels at {rate:,} Hz")
    pictures = pictures_of(container)
    begin = _begin(stream)
    zero = _begin(pictures) if pictures is not None else begin
    if start > 0:
        container.seek(max(0, int((start + zero) / stream.time_base)), stream=stream)
    most = min(most_seconds, most_samples / rate / channels)
    track = _Track(rate, channels, start, min(end, start + most + 1))
    resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
    for frame in container.decode(stream):
        at = None if frame.pts is None else float(frame.pts * frame.time_base) - zero
        for part in resampler.resample(frame):
            track.put(part.to_ndarray(), at)
            at = None
        if track.full:
            break
    samples = track.samples()
    if len(samples) > most * rate:
        hint = "give parts of it, by columns start and end"
        raise Unreadable(f"more than {most:,.0f} s of sound: at most that a row; {hint}")
    suffix = source.suffix.lower() if isinstance(source, Path) else None
    about = {"rate": rate, "channels": channels, "format": container.format.name, "encoding": stream.codec_context.name}
    return samples, {**about, "suffix": suffix, "begins": round(begin - zero, 4)}


def _begin(stream: Any) -> float:
    return float((stream.start_time or 0) * stream.time_base)


class _Track:
    """Samples put together by when they sound: seconds after the first picture, from `start` to `end`."""

    def __init__(self, rate: int, channels: int, start: float, end: float) -> None:
        self._rate, self._channels = rate, channels
        self._next = round(start * rate)
        self._first, self._last = self._next, math.inf if math.isinf(end) else round(end * rate)
        self._parts: list[np.ndarray] = []

    @property
    def full(self) -> bool:
        return self._next >= self._last

    def put(self, samples: np.ndarray, at: float | None) -> None:
        """Samples (C, N) that begin `at` seconds, or right after the ones before."""
        begin = self._next if at is None else round(at * self._rate)
        if self._parts and abs(begin - self._next) <= GAP * self._rate:
            begin = self._next
        if begin > self._next:
            silence = int(min(begin, self._last) - self._next)
            self._parts.append(np.zeros((self._channels, silence), np.float32))
            self._next += silence
        kept = samples[:, max(0, self._next - begin) :]
        kept = kept[:, : int(min(kept.shape[1], max(0, self._last - self._next)))]
        self._parts.append(kept.astype(np.float32))
        self._next += kept.shape[1]

    def samples(self) -> np.ndarray:
        if not self._parts:
            return np.zeros((0, self._channels), np.float32)
        return np.concatenate(self._parts, 1).T
