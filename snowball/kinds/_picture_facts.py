"""Facts of what pictures show that are cheap to have: how bright they are, and what colour their border has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["BORDER", "shown_facts"]

BORDER = ("border red", "border green", "border blue")
# Pixels of a picture. All 187,500 of a photograph take 0.4 ms more, and by 3,000 its brightness is 0.5 levels off on
# average, where 200 photographs differ by 29 (2026-11-27).
LOOKED_AT = 3_000


def shown_facts(frames: np.ndarray) -> dict[str, Any]:
    """`brightness`, the mean, `contrast`, the deviation, and of each colour the median of the border, in 0..255: what
    most of the border shows, whatever touches it in places. `frames` is (T, H, W) or (T, H, W, 3); a picture is a film
    of one.

    >>> shown_facts(np.full((1, 4, 4), 7, np.uint8))
    {'brightness': 7.0, 'contrast': 0.0, 'border red': 7, 'border green': 7, 'border blue': 7}
    """
    step = max(1, math.isqrt(frames.shape[1] * frames.shape[2] // LOOKED_AT))
    seen = frames[:, ::step, ::step]
    sides = (seen[:, 0], seen[:, -1], seen[:, 1:-1, 0], seen[:, 1:-1, -1])  # (T, length) or (T, length, 3) each
    border = np.concatenate(sides, 1).reshape(-1, 1 if frames.ndim == 3 else 3)
    border.partition(len(border) // 2, axis=0)
    middle = border[len(border) // 2].tolist() * (3 if frames.ndim == 3 else 1)
    pixels = seen.astype(np.float32).ravel()  # a third of the time that `seen.std()` takes
    brightness = float(pixels.mean())
    pixels -= brightness
    spread = {"brightness": round(brightness, 2), "contrast": round(math.sqrt(pixels @ pixels / len(pixels)), 2)}
    return {**spread, **dict(zip(BORDER, middle, strict=True))}
