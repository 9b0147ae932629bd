"""Sketches of pictures and films, of which near copies share most numbers. N frames, H, W, C channels."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["sketch_pictures"]

SIDE = 12  # squares each way that a picture is reduced to: what is left after scaling, recoding and small repairs
LEVELS = 12  # of brightness, between the darkest and the brightest square
NUMBERS = 32  # in a sketch
SEEN = 12  # pixels each way that a square is averaged over, at least, where there are more
FLAT = 16  # grey levels between the darkest and the brightest square below which there is nothing to compare
FEW = 8  # squares that differ from the background
_random = np.random.Generator(np.random.Philox(20261125))
# One random number for each square, its level and its level in the frame before.
_HASHES = _random.integers(2**31, size=(SIDE * SIDE, LEVELS * LEVELS, NUMBERS), dtype=np.int32)


def sketch_pictures(frames: np.ndarray) -> np.ndarray | None:
    """(NUMBERS,) MinHash (Broder, 1997) of the squares of consecutive frames and their levels of brightness.

    `frames` is (N, H, W) or (N, H, W, 3); a picture is a film of one frame. Squares as bright as most of the picture
    are left out: two digits on black have the black in common, and are no copies. None: too plain to compare.
    """
    grey = np.stack([_squares(frame) for frame in frames])  # (N, SIDE * SIDE)
    darkest, brightest = grey.min(), grey.max()
    if brightest - darkest < FLAT:
        return None
    levels = ((grey - darkest) * (LEVELS / (brightest - darkest + 1e-3))).astype(np.int64)
    background = np.bincount(levels.ravel(), minlength=LEVELS).argmax()
    before, after = (levels, levels) if len(levels) == 1 else (levels[:-1], levels[1:])
    pairs = before * LEVELS + after
    number, square = np.nonzero(pairs != background * (LEVELS + 1))
    if len(np.unique(square)) < FEW:
        return None
    keys = np.unique(square * LEVELS * LEVELS + pairs[number, square])
    sketch: np.ndarray = _HASHES.reshape(-1, NUMBERS)[keys].min(0)
    return sketch


def _squares(frame: np.ndarray) -> np.ndarray:
    """Mean brightness of SIDE x SIDE squares, flat."""
    step = max(1, min(frame.shape[:2]) // (SIDE * SEEN))  # all pixels of 500 x 375 take 1.0 ms (2026-11-25)
    small = (
        Image.fromarray(np.ascontiguousarray(frame[::step, ::step]))
        .resize((SIDE, SIDE), Image.Resampling.BOX)
        .convert("L")
    )
    return np.asarray(small, dtype=np.float32).ravel()
