"""A scene as a picture: paths that were seen, what came, and the futures that were told, likely ones darker."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..kind import AGAINST, FOR
from ._scene import Scene

__all__ = ["draw_scene"]

SIDE = 640  # pixels
SHARPER = 2  # drawn so much larger, then reduced: PIL's lines have no antialiasing
MARGIN = 0.08
PAST, TRUE, OTHERS = "#1f2937", "#00a152", "#9ca3af"
TOLD = ("#e65100", "#1565c0", "#ad1457", "#6a1b9a", "#00838f", "#9e9d24")
DISC, PALE = 40, 0.4  # of weights: pixels of the largest's radius, and how dark they are
PAPER = np.array([255, 255, 255])
LEAST = 0.22  # how dark the least likely future is


def draw_scene(scene: Scene, prediction: Mapping[str, Any] | None, weights: np.ndarray | None = None) -> Image.Image:
    """Dark: what was seen (grey where nothing is asked); a dot: now; green: what came; coloured: futures, with a ring
    at the end of the likeliest.

    `weights` (2, A) are drawn as discs, red above 0 and blue below: of each agent, and of how it came.
    """
    side = SIDE * SHARPER
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    local = scene.positions - scene.origin
    paths = prediction["paths"] if prediction else []
    told = [np.array(path["futures"]).reshape(-1, 2) for path in paths]
    place = _Map.of(np.concatenate([local.reshape(-1, 2), *told]), side)
    _bar(pen, place)
    thin = 2 * SHARPER
    for number, path in enumerate(paths):
        colour = np.array([int(TOLD[number % len(TOLD)][i : i + 2], 16) for i in (1, 3, 5)])
        here = local[path["agent"], scene.observed - 1]
        most = max(path["probabilities"])
        for future, share in reversed(list(zip(path["futures"], path["probabilities"], strict=True))):
            dark = LEAST + (1 - LEAST) * share / max(most, 1e-9)
            shade = tuple(int(c) for c in PAPER + dark * (colour - PAPER))
            _line(pen, place(np.vstack([here, future])), shade, thin)
        _ring(pen, place(np.array(path["futures"][0][-1:]))[0], tuple(int(c) for c in colour), thin)
    if weights is not None:
        for agent, points in enumerate(local[:, : scene.observed]):
            for weight, at in zip(weights[:, agent], (points[-1], points[np.isfinite(points[:, 0])][0]), strict=True):
                radius = DISC * SHARPER * math.sqrt(abs(weight) / max(float(np.abs(weights).max()), 1e-12))
                colour = PAPER + PALE * (np.array(FOR if weight > 0 else AGAINST) - PAPER)
                _dot(pen, place(at[None])[0], tuple(int(c) for c in colour), radius)
    asked = scene.asked
    for agent, points in enumerate(local):
        _line(pen, place(points[: scene.observed]), PAST if asked[agent] else OTHERS, 2 * thin)
        if scene.ahead:
            _line(pen, place(points[scene.observed - 1 :]), TRUE, 2 * thin)
        _dot(pen, place(points[scene.observed - 1][None])[0], PAST if asked[agent] else OTHERS, 3 * thin)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class _Map:
    """From positions to pixels, y up: `centre` in the picture's middle, `width` units from left to right."""

    centre: np.ndarray
    width: float
    side: int

    @classmethod
    def of(cls, points: np.ndarray, side: int) -> _Map:
        """That shows all of the points (N, 2) that are known."""
        points = points[np.isfinite(points).all(1)]
        low, high = points.min(0), points.max(0)
        return cls((low + high) / 2, max(float((high - low).max()), 1e-6) / (1 - 2 * MARGIN), side)

    def __call__(self, at: np.ndarray) -> np.ndarray:
        share = (at - self.centre) / self.width + 0.5
        return np.stack([share[:, 0] * self.side, (1 - share[:, 1]) * self.side], 1)


def _bar(pen: ImageDraw.ImageDraw, place: _Map) -> None:
    """A bar of a round length, so that the scene has a size."""
    most = place.width / 4
    decade = 10.0 ** math.floor(math.log10(most))
    length = next(decade * times for times in (5, 2, 1) if decade * times <= most)
    left, low = 0.03 * place.side, 0.97 * place.side
    pen.line([(left, low), (left + length / place.width * place.side, low)], fill=OTHERS, width=2 * SHARPER)
    pen.text((left, low - 18 * SHARPER), f"{length:g}", fill=OTHERS, font_size=14 * SHARPER)


def _line(pen: ImageDraw.ImageDraw, at: np.ndarray, colour: Any, width: int) -> None:
    known = [tuple(point) for point in at.tolist() if np.isfinite(point).all()]
    if len(known) > 1:
        pen.line(known, fill=colour, width=width, joint="curve")


def _dot(pen: ImageDraw.ImageDraw, at: np.ndarray, colour: Any, radius: float) -> None:
    x, y = at.tolist()
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _ring(pen: ImageDraw.ImageDraw, at: np.ndarray, colour: Any, radius: int) -> None:
    x, y = at.tolist()
    pen.ellipse([x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius], outline=colour, width=SHARPER)
