"""What kinds share that fall into spans along their dimensions, and how the weights of such pieces are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..kind import AGAINST, FOR

__all__ = ["cubes", "cut", "spans_of_time", "squares", "tinted"]

DARKEST = 0.6  # how much of a place is covered by the colour of the largest weight


def cut(lengths: Sequence[int], most: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
    """(*lengths) the number of the piece that each place belongs to, and how many pieces lie along each dimension.

    Dimension i is cut into `most[i]` spans, or as many as it is long.

    >>> cut([4, 3], [2, 1])[0].tolist()
    [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]]
    """
    lie = tuple(min(pair) for pair in zip(lengths, most, strict=True))
    of = torch.zeros((), dtype=torch.long)
    for length, num in zip(lengths, lie, strict=True):
        of = of[..., None] * num + torch.arange(length) * num // length
    return of, lie


def squares(rows: int, columns: int) -> list[str]:
    """What the pieces of a picture are called, row by row."""
    return [f"row {row + 1}, column {column + 1}" for row in range(rows) for column in range(columns)]


def cubes(seconds: float, stretches: int, rows: int, columns: int) -> list[str]:
    """What the pieces of a film are called: squares of one stretch of time after another."""
    return [f"{place}, {time}" for time in spans_of_time(seconds, stretches) for place in squares(rows, columns)]


def spans_of_time(seconds: float, num: int) -> list[str]:
    """What equal stretches of so many seconds are called.

    >>> spans_of_time(1.0, 2)
    ['0.00 to 0.50 s', '0.50 to 1.00 s']
    """
    return [f"{at * seconds / num:.2f} to {(at + 1) * seconds / num:.2f} s" for at in range(num)]


def tinted(picture: Image.Image, weights: np.ndarray, largest: float) -> Image.Image:
    """The picture in grey under weights (rows, columns) that lie evenly over it: red where above 0, blue where below.

    `largest` is the weight that is covered most; the picture's edges stay visible under any. In grey, because red is
    not seen on a red picture.
    """
    shares = Image.fromarray((weights / max(largest, 1e-12)).astype(np.float32), mode="F")
    share = np.asarray(shares.resize(picture.size, Image.Resampling.BICUBIC))[..., None].clip(-1, 1)
    colour = np.where(share > 0, np.array(FOR), np.array(AGAINST))
    cover = DARKEST * np.abs(share)
    pixels = np.asarray(picture.convert("L").convert("RGB"), dtype=np.float32)
    return Image.fromarray((pixels * (1 - cover) + colour * cover).round().astype(np.uint8))
