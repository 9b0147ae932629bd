"""Motion: clips whose class is the way a blob moves, and of which no single frame tells it. Computed, no file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...table import Column, Table

__all__ = ["MOTION", "motion"]

_CLIPS, _FRAMES, _SIDE = 800, 8, 24
_WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
_NOISE = 64  # grey levels, below the blob's own
MOTION: dict[str, Any] = {"video.frames": _FRAMES, "train.epochs": 10}
"""Recipe values that the sample is best served by, as dotted keys."""


def motion() -> Table:
    """800 clips, the same ones every time, in `video`; the way of each in `label`.

    The blob begins anywhere, leaves at one side and comes back at the other, so that where it is tells nothing: a
    single frame is at chance.
    """
    random = np.random.Generator(np.random.Philox(2026))
    cells: list[Any] = []
    labels: list[str] = []
    for row in range(_CLIPS):
        label = list(_WAYS)[row % len(_WAYS)]
        place, speed, radius = random.uniform(0, _SIDE, 2), random.uniform(1.5, 3.0), random.uniform(2.0, 3.5)
        film = random.integers(0, _NOISE, (_FRAMES, _SIDE, _SIDE), dtype=np.uint8)
        for number, frame in enumerate(film):
            frame[_blob(place + number * speed * np.array(_WAYS[label]), radius)] += np.uint8(150)
        cells.append(film)
        labels.append(label)
    columns = {"video": Column("video", "video", cells), "label": Column("label", "label", labels)}
    return Table(
        "motion",
        columns,
        [""] * _CLIPS,
        lambda row: f"motion, clip {row}",
        MOTION,
    )


def _blob(centre: np.ndarray, radius: float) -> np.ndarray:
    """(SIDE, SIDE) true within `radius` of the centre, around the edges."""
    steps = np.arange(_SIDE)
    away = [np.abs((steps - middle + _SIDE / 2) % _SIDE - _SIDE / 2) for middle in centre]
    inside: np.ndarray = np.hypot(away[0][:, None], away[1][None, :]) <= radius
    return inside
