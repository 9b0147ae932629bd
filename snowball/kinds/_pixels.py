"""What pictures and videos have in common. Shapes: H height, W width, C channels (1 grey, 3 RGB), N pictures."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

__all__ = ["asked_or_common_size", "pixel_state", "resize_pixels"]


def resize_pixels(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, any H, any W) uint8 to (N, C, *size) whole numbers in 0..255, as `encode` resizes one picture.

    Widths first, rounded, then heights, as the kernels for bytes do it: of a photograph's numbers 0 to 1.2 % are then
    one level from theirs, and 13 to 17 % where the rounding between the two is left out (2026-11-25).
    """
    resized = pixels.float()
    for height, width in ((pixels.shape[2], size[1]), size):
        resized = F.interpolate(resized, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
        resized = (resized + 0.5).floor().clamp(0, 255)
    return resized


def asked_or_common_size(
    asked: int | tuple[int, int] | None, sizes: Collection[tuple[int, int]], most: int
) -> tuple[int, int] | None:
    """(height, width) as asked, else that of all, its short side at most `most`; None where there are several.

    >>> asked_or_common_size(None, {(480, 640)}, 240)
    (240, 320)
    """
    if asked is not None:
        return (asked, asked) if isinstance(asked, int) else asked
    if len(set(sizes)) > 1:
        return None
    height, width = next(iter(sizes))
    shrink = min(1.0, most / min(height, width))
    return round(height * shrink), round(width * shrink)


def pixel_state(size: tuple[int, int], channels: int, mean: np.ndarray, square: np.ndarray) -> dict[str, Any]:
    """State of a kind, from means (3,) of pixels in 0..255 and of their squares; grey ones stand there three times."""
    std = np.sqrt(np.maximum(square - mean**2, 1.0))  # at least one grey level: constant pictures
    return {
        "height": size[0],
        "width": size[1],
        "channels": channels,
        "mean": [round(float(m), 3) for m in mean[:channels]],
        "std": [round(float(s), 3) for s in std[:channels]],
    }
