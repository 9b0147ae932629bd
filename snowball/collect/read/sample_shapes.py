"""Pictures of circles, squares and triangles with their boxes: computed, the same every time.

Colour and brightness say nothing about the shape, so that only geometry can be learned.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ...table import Column, Table

__all__ = ["SHAPES", "shapes"]

SHAPES: dict[str, Any] = {"train.epochs": 30}  # 0.97 of map50 by then; the task itself would take 100

_ROWS = 400
_SIDE = 64
_LABELS = ("circle", "square", "triangle")
_SMOOTH = 4  # drawn larger and shrunk, for smooth edges


def shapes() -> Table:
    """400 pictures of 64 x 64 with one to five shapes each, partly over one another."""
    random = np.random.Generator(np.random.Philox(20))
    rows = [_picture(random) for _ in range(_ROWS)]
    columns = {
        "image": Column("image", "image", [picture for picture, _ in rows]),
        "boxes": Column("boxes", "boxes", [cell for _, cell in rows]),
    }
    return Table("shapes", columns, [""] * _ROWS, lambda row: f"shapes, picture {row}", SHAPES)


def _picture(random: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    canvas = Image.new("RGB", (_SIDE * _SMOOTH,) * 2, _colour(random))
    pen = ImageDraw.Draw(canvas)
    labels: list[str] = []
    boxes: list[list[float]] = []
    for _ in range(int(random.integers(1, 6))):
        radius = float(random.uniform(5, 13))
        x, y = (float(at) for at in random.uniform(radius + 1, _SIDE - radius - 1, 2))
        if any(abs(x - (b[0] + b[2]) / 2) + abs(y - (b[1] + b[3]) / 2) < radius + (b[2] - b[0]) / 2 for b in boxes):
            continue  # would hide most of another
        label = _LABELS[int(random.integers(len(_LABELS)))]
        corners = _corners(label, radius, float(random.uniform(0, 2 * math.pi)))
        pen.polygon([((x + dx) * _SMOOTH, (y + dy) * _SMOOTH) for dx, dy in corners], fill=_colour(random))
        across, down = zip(*corners, strict=True)
        boxes.append([x + min(across), y + min(down), x + max(across), y + max(down)])
        labels.append(label)
    pixels = np.asarray(canvas.resize((_SIDE, _SIDE), Image.Resampling.BOX)).astype(np.float32)
    pixels = np.clip(pixels + random.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8)
    return pixels, {"labels": labels, "boxes": boxes, "width": _SIDE, "height": _SIDE}


def _corners(label: str, radius: float, turn: float) -> list[tuple[float, float]]:
    """A regular polygon about the origin; one of 40 corners passes for a circle."""
    num = {"circle": 40, "square": 4, "triangle": 3}[label]
    angles = [turn + 2 * math.pi * corner / num for corner in range(num)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _colour(random: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in random.integers(0, 256, 3))
    return red, green, blue
