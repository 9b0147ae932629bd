"""Anchors: how futures differ from constant velocity, as K typical ways, from which a network's futures begin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._scene import Scene

__all__ = ["find_anchors"]

MOST = 20_000  # agents that are looked at, evenly spaced
ROUNDS = 25


def find_anchors(scenes: Sequence[Scene], unit: float, num: int) -> np.ndarray:
    """(K, F, 2) in units: the means of K clusters of what agents do beyond constant velocity, in frames of their own.

    An agent's own frame has its last observed position as origin and looks along x where it came from two frames
    before. Lloyd's algorithm from k-means++ (Arthur and Vassilvitskii, 2007), fixed in what it draws.
    """
    ways = np.concatenate([_beyond(scene) for scene in scenes]) / unit  # (N, F, 2)
    ways = ways[:: max(1, len(ways) // MOST)]
    flat = ways.reshape(len(ways), -1)
    random = np.random.Generator(np.random.Philox(0))
    centres = _spread(flat, num, random)
    for _ in range(ROUNDS):
        nearest = _apart(flat, centres).argmin(1)
        for k in range(num):
            if (nearest == k).any():
                centres[k] = flat[nearest == k].mean(0)
    return centres.reshape(num, *ways.shape[1:])


def _spread(flat: np.ndarray, num: int, random: np.random.Generator) -> np.ndarray:
    """K first centres: each far from those before; where there are no more, near one, so that no two are the same."""
    centres = [flat.mean(0)]
    least = np.full(len(flat), np.inf)
    while len(centres) < num:
        least = np.minimum(least, _apart(flat, centres[-1][None])[:, 0])
        if least.sum() > 1e-9:
            centres.append(flat[random.choice(len(flat), p=least / least.sum())])
        else:
            centres.append(centres[0] + 0.01 * random.standard_normal(flat.shape[1]))
    return np.array(centres)


def _apart(flat: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N, K) squared distances."""
    squares: np.ndarray = (flat**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * flat @ centres.T
    return np.asarray(np.maximum(squares, 0.0))


def _beyond(scene: Scene) -> np.ndarray:
    """(agents, F, 2): where judged agents went, less where constant velocity leads, in their own frames."""
    positions = scene.positions[scene.complete]
    last = positions[:, scene.observed - 1]
    velocity = last - positions[:, scene.observed - 2]
    back = positions[:, max(0, scene.observed - 3)]
    heading = last - back
    length = np.linalg.norm(heading, axis=1, keepdims=True)
    heading = np.where(length > 0, heading / np.maximum(length, 1e-12), np.array([1.0, 0.0]))
    straight = last[:, None] + velocity[:, None] * np.arange(1, scene.ahead + 1)[:, None]
    off = positions[:, scene.observed :] - straight
    cos, sin = heading[:, None, 0], heading[:, None, 1]
    return np.stack([off[..., 0] * cos + off[..., 1] * sin, off[..., 1] * cos - off[..., 0] * sin], -1)
