"""Clips of a blob: the way it moves is a class, or how fast a number; no single frame tells it. Computed, no file."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...table import Column, Table

__all__ = ["MOTION", "SPEEDS", "motion", "speeds"]

_CLIPS, _SPEEDS, _FRAMES, _SIDE = 800, 400, 8, 24
_WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
_NOISE = 64  # grey levels, below the blob's own
MOTION: dict[str, Any] = {"video.frames": _FRAMES, "train.epochs": 10}
SPEEDS: dict[str, Any] = {"video.frames": _FRAMES, "train.epochs": 15}
"""Recipe values that the samples are best served by, as dotted keys."""


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
        cells.append(_film(random, place, speed * np.array(_WAYS[label]), radius))
        labels.append(label)
    columns = {"video": Column("video", "video", cells), "label": Column("label", "label", labels)}
    return Table(
        "motion",
        columns,
        [""] * _CLIPS,
        lambda row: f"motion, clip {row}",
        MOTION,
    )


def speeds() -> Table:
    """400 clips, the same ones every time, in `video`; in `speed` the pixels a frame that the blob moves to the right,
    which are negative to the left. How it moves up or down says nothing, and where it is as little as in `motion`.
    """
    random = np.random.Generator(np.random.Philox(2026))
    cells: list[Any] = []
    answers: list[float] = []
    for _ in range(_SPEEDS):
        place, radius, step = random.uniform(0, _SIDE, 2), random.uniform(2.0, 3.5), random.uniform(-3, 3, 2)  # y, x
        cells.append(_film(random, place, step, radius))
        answers.append(round(float(step[1]), 3))
    columns = {"video": Column("video", "video", cells), "speed": Column("speed", "number", answers)}
    return Table("speeds", columns, [""] * _SPEEDS, lambda row: f"speeds, clip {row}", SPEEDS)


def _film(random: np.random.Generator, place: np.ndarray, step: np.ndarray, radius: float) -> np.ndarray:
    """(FRAMES, SIDE, SIDE) uint8: a blob on noise that moves by `step` (2,) pixels, down and to the right, a frame."""
    film = random.integers(0, _NOISE, (_FRAMES, _SIDE, _SIDE), dtype=np.uint8)
    for number, frame in enumerate(film):
        frame[_blob(place + number * step, radius)] += np.uint8(150)
    return film


def _blob(centre: np.ndarray, radius: float) -> np.ndarray:
    """(SIDE, SIDE) true within `radius` of the centre, around the edges."""
    steps = np.arange(_SIDE)
    away = [np.abs((steps - middle + _SIDE / 2) % _SIDE - _SIDE / 2) for middle in centre]
    inside: np.ndarray = np.hypot(away[0][:, None], away[1][None, :]) <= radius
    return inside
