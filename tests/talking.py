"""Write films of the talking sample for tests: pictures, sound or both, and one stream moved against the other."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from snowball.collect.read.sample_talking import talking

__all__ = ["write_talking"]

TICK = Fraction(1, 1000)


def write_talking(
    path: Path, row: int, *, pictures: bool = True, sound: bool = True, stamped_late: float = 0.0, late: float = 0.0
) -> str:
    """Film `row` of the sample as a file, and what is said in it.

    `stamped_late`: time stamps put the sound so many seconds after the pictures, in place of its beginning, as a
    recorder does that opens its microphone late. `late`: the sound is late, and no time stamp says so.
    """
    columns = talking().columns
    frames, cell = columns["video"].cells[row], columns["audio"].cells[row]
    samples, rate = cell["array"], cell["sampling_rate"]
    if late:
        samples = np.concatenate([np.zeros(round(late * rate), np.int16), samples])
    samples = samples[round(stamped_late * rate) :]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        film = container.add_stream("ffv1", rate=25) if pictures else None
        track = container.add_stream("pcm_s16le", rate=rate, layout="mono") if sound else None
        if film is not None:
            film.height, film.width, film.pix_fmt = *frames[0].shape, "gray"
            for number, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(picture, format="gray")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(film.encode(frame))
            container.mux(film.encode(None))
        if track is not None:
            part = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            part.sample_rate, part.time_base = rate, Fraction(1, rate)
            part.pts = round(stamped_late * rate)
            container.mux(track.encode(part))
            container.mux(track.encode(None))
    return str(columns["text"].cells[row])
