"""Roads drawn in perspective: steering that is right by construction, and needs no file.

The wheel is a function of the road's curvature and of the car's place on it; brightness, colours, horizon, width of the
road and grain are drawn at random and say nothing of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...table import Column, Table

__all__ = ["draw_road", "roads"]

ROWS = 600
HEIGHT, WIDTH = 32, 64
TURN = 0.7  # wheel for a road of the greatest curvature
RETURN = 0.3  # wheel for a car half a road's width off its middle


def roads() -> Table:
    """600 pictures of roads, the same ones every time, with the wheel that follows each."""
    random = np.random.Generator(np.random.Philox(2026))
    curvature = random.uniform(-1, 1, ROWS)
    offset = random.uniform(-1, 1, ROWS)
    pictures: Any = np.stack([draw_road(c, o, random) for c, o in zip(curvature, offset, strict=True)])
    wheel = np.round(TURN * curvature - RETURN * offset, 4)
    image = Column("image", "image", pictures)
    answer = Column("steering angle", "number", wheel.tolist())
    return Table("roads", {"image": image, answer.name: answer}, [""] * ROWS, lambda row: f"roads, picture {row}")


def draw_road(curvature: float, offset: float, random: np.random.Generator) -> np.ndarray:
    """(32, 64, 3) uint8: a road that bends to the right for positive curvature, seen from `offset` right of its middle.

    A row at depth d shows the road's middle at d * d * curvature, less the car's offset, all divided by d.
    """
    horizon = random.uniform(7, 11)
    below = np.arange(HEIGHT) - horizon  # (H,)
    near = np.clip(below / (HEIGHT - horizon), 0.04, 1)[:, None]  # (H, 1): 1 at the bottom, 0 at the horizon
    depth = np.minimum(1 / near, 8)
    half = random.uniform(14, 18)
    middle = WIDTH / 2 + half * near * (0.35 * curvature * (depth - 1) ** 2 - offset)
    side = (np.arange(WIDTH)[None, :] + 0.5 - middle) / (half * near)  # (H, W): -1 and 1 at the edges of the road
    sky, grass, tar = (
        random.uniform((120, 160, 190), (190, 215, 255)),
        random.uniform(40, 130, 3),
        random.uniform(60, 120),
    )
    picture = np.where(np.abs(side)[:, :, None] < 1, np.full(3, tar), grass)
    picture = np.where((np.abs(np.abs(side) - 0.95) < 0.1)[:, :, None], 230.0, picture)
    dashes = (np.abs(side) < 0.06) & (np.sin(6 * depth + random.uniform(0, 6)) > 0)
    picture = np.where(dashes[:, :, None], 230.0, picture)
    picture = np.where((below < 0)[:, None, None], sky, picture)
    grain = random.normal(0, random.uniform(2, 10), (HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(picture * random.uniform(0.6, 1.15) + grain, 0, 255).astype(np.uint8))
