"""Write small video files for tests: moving blobs, at any rate, in any container that PyAV can write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

__all__ = ["moving", "write_film"]


def moving(step: int, frames: int = 12, side: int = 32, seed: int = 0, row: int | None = None) -> np.ndarray:
    """(T, H, W, 3): a bright square that moves `step` pixels to the right a frame, on noise, around the edge."""
    random = np.random.default_rng(seed)
    film = random.integers(0, 60, (frames, side, side, 3), dtype=np.uint8)
    place, top = int(random.integers(side)), int(random.integers(side - 6)) if row is None else row
    for number, picture in enumerate(film):
        picture[top : top + 6, (place + step * number + np.arange(6)) % side] = 255
    return film


def write_film(
    path: Path,
    film: Iterable[np.ndarray],
    *,
    rate: int = 10,
    ticks: Sequence[int] | None = None,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    audio: bool = False,
) -> Path:
    """Write frames (H, W, 3) to `path`; `ticks` are the frames' times in hundredths of a second, else the rate's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        sound = container.add_stream("aac", rate=8000) if audio else None
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 100)
        for number, picture in enumerate(film):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if not number:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
            if ticks is not None:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 100)
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 8000
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path
