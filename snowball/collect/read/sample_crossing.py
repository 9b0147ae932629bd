"""Crossing: walkers who give way to whom they would run into. Computed, no file.

All walk straight while they are observed, and how they walk tells nothing of what comes: where the others are does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...kinds._tracks import Recording, Track
from ...table import Column, Table

__all__ = ["CROSSING", "crossing"]

_SCENES, _OBSERVED, _AHEAD = 600, 8, 12
_NEAR = 1.2  # metres: who would come nearer than this gives way
_SIDE = 1.6  # metres to the right that giving way takes
CROSSING: dict[str, Any] = {"train.epochs": 20, "train.batch_size": 16, "optim.lr": 0.005, "augment.flip": 0.0}
"""Recipe values that the sample is best served by, as dotted keys."""


def crossing() -> Table:
    """600 scenes of 20 frames, the same ones every time: two walkers, and in half of the scenes a third far from them.

    Walkers whose straight ways would come nearer than 1.2 m within the twelve frames ahead both step to their right, as
    soon as the observed frames are over, the more the nearer they would come; the others walk on.
    """
    random = np.random.Generator(np.random.Philox(2026))
    recordings = [_scene(number, random) for number in range(_SCENES)]
    columns = {role: Column(role, "path", recordings) for role in ("past", "future")}
    return Table("crossing", columns, [""] * _SCENES, lambda row: f"crossing, scene {row}", CROSSING)


def _scene(number: int, random: np.random.Generator) -> Recording:
    meets = random.random() < 0.5
    when = random.uniform(4, 9)  # frames after the last observed one, at which they are nearest
    headings = random.uniform(0, 2 * np.pi) + np.array([0.0, random.choice([-1, 1]) * random.uniform(0.5, 0.9) * np.pi])
    speeds = random.uniform(0.4, 0.65, 2)
    velocity = speeds[:, None] * np.stack([np.cos(headings), np.sin(headings)], 1)  # (2, 2) metres a frame
    apart = random.uniform(0, 0.8) if meets else random.uniform(2.5, 6.0)
    across = velocity[0] - velocity[1]
    across = np.array([-across[1], across[0]]) / np.linalg.norm(across) * random.choice([-1, 1])
    middle = random.uniform(-8, 8, 2)
    here = np.stack([middle, middle + apart * across]) - velocity * when
    if random.random() < 0.5:
        far = middle + 25 * np.array([np.cos(headings[0]), np.sin(headings[0])])
        here, velocity = np.vstack([here, far]), np.vstack([velocity, random.uniform(-0.4, 0.4, 2)])
    frames = np.arange(_OBSERVED + _AHEAD)
    paths = here[:, None] + velocity[:, None] * (frames - _OBSERVED + 1)[:, None]  # (A, T, 2)
    if apart < _NEAR:
        ahead = np.clip(frames - _OBSERVED + 1, 0, None)
        step = (_SIDE - apart) / 2 * np.sin(np.pi / 2 * np.clip(ahead / when, 0, 1)) ** 2  # (T,)
        right = np.stack([velocity[:2, 1], -velocity[:2, 0]], 1) / speeds[:, None]
        paths[:2] += step[:, None] * right[:, None]
    paths += random.normal(0, 0.01, paths.shape)
    tracks = tuple(Track(str(agent + 1), 0, points) for agent, points in enumerate(paths.round(4)))
    return Recording(f"scene {number}", tracks, 0.0, 1.0, num_points=paths.shape[0] * paths.shape[1])
