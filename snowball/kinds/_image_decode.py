"""Decode and resize pictures. Shapes: H height, W width.

JPEG files of grey or YCbCr pixels are decoded by simplejpeg where it is installed (`pip install 'snowball[fast]'`), all
else by Pillow. Both carry libjpeg-turbo and give the very same pixels, which tests/test_image_decode.py holds them to,
so that a run does not depend on what is installed. Whatever simplejpeg refuses is Pillow's to read or to refuse.

Decoding at a fraction of the size, which libjpeg offers, is left out: at 5/8 (500 x 375 for 224) it takes 1.2 times as
long to decode, and the resized picture is 3.6 grey levels from the whole one's on average and 123 at most; an exported
model, which is given whole pictures, would see others than those it was trained on (measured 2026-11-25).
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..kind import Unreadable

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

__all__ = ["MAX_PIXELS", "decode_picture", "resize_picture", "unreadable_reason"]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # no EPS or PSD: their readers have a history
MAX_PIXELS = 50_000_000  # a 50-megapixel camera; a small file that claims more is a decompression bomb
LONGEST = 2**26  # bytes of a JPEG file that are read at once: 50 megapixels of the best quality
COLOURS = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}  # what a JPEG file holds and what it becomes; CMYK is Pillow's
ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
MAY_BE_TURNED = b"Exif\0\0", b"tiff:Orientation"  # one of them is in every file that Pillow would turn


def decode_picture(source: bytes | Path) -> np.ndarray:
    """(H, W) grey or (H, W, 3) RGB, uint8, upright. Raises Unreadable by the header, or what the decoders raise."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        pixels = _decode_jpeg(file)
        if pixels is not None:
            return pixels
        file.seek(0)
        with Image.open(file, formats=FORMATS) as picture:
            _check_size(*picture.size)
            return _to_array(picture)


def resize_picture(value: np.ndarray, height: int, width: int) -> Tensor:
    """(C, height, width) uint8, laid out channels last: antialiased bilinear, at most one grey level from Pillow's.

    For photographs of 500 x 375 and a side of 224 that is 0.001 on average, at a fifth of Pillow's time: 0.32 against
    1.74 ms of one core, 0.44 where the kernel is not told that channels come last (2026-11-27).
    """
    pixels = torch.from_numpy(np.require(value, requirements=("C", "W", "O"))).reshape(1, *value.shape[:2], -1)
    return F.interpolate(pixels.permute(0, 3, 1, 2), (height, width), mode="bilinear", antialias=True)[0]


def unreadable_reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels: a decompression bomb?"
    return f"damaged ({str(error) or type(error).__name__})"


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Unreadable(f"{width} x {height} is more than {MAX_PIXELS:,} pixels: a decompression bomb?")


def _decode_jpeg(file: IO[bytes]) -> np.ndarray | None:
    """What Pillow would give, in 0.6 of its time; None where it is left to Pillow.

    Opening a file with Pillow as well, 0.4 of 1.9 ms, is only for those that may be turned (2026-11-25).
    """
    if simplejpeg is None or file.read(3) != b"\xff\xd8\xff":
        return None
    file.seek(0)
    content = file.read(LONGEST)
    with suppress(ValueError):  # also for what libjpeg only warns of: Pillow decides
        height, width, held, _ = simplejpeg.decode_jpeg_header(content)
        _check_size(width, height)
        if held not in COLOURS:
            return None
        pixels: np.ndarray = simplejpeg.decode_jpeg(content, COLOURS[held])
        pixels = pixels[:, :, 0] if held == "Gray" else pixels
        head = _head(content)
        if not any(mark in head for mark in MAY_BE_TURNED):
            return pixels
        with Image.open(file, formats=FORMATS) as picture:
            orientation = picture.getexif().get(ORIENTATION, 1)
        return pixels if orientation == 1 else _turned(pixels, orientation)
    return None


def _head(content: bytes) -> bytes:
    """What of a JPEG file stands before its first scan; all of it where its segments do not lead there.

    To look through the whole of a file takes 0.06 ms (2026-11-27).
    """
    at = 2
    with suppress(IndexError):
        while content[at] == 0xFF and content[at + 1] != 0xDA:
            at += 1 if content[at + 1] == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at] == 0xFF:
            return content[:at]
    return content


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    picture = Image.fromarray(pixels)
    picture.getexif()[ORIENTATION] = orientation
    ImageOps.exif_transpose(picture, in_place=True)
    return np.asarray(picture)


def _to_array(picture: Image.Image) -> np.ndarray:
    """Decode any mode. What is grey or RGB and upright is not copied, which takes as long again as its decoding."""
    ImageOps.exif_transpose(picture, in_place=True)
    mode = picture.mode
    if mode.startswith("I") or mode == "F":  # 16-bit grey, which some formats give as 32-bit integers
        values = np.asarray(picture).astype(np.float64)
        top = 65535.0 if mode != "F" or values.max() > 255 else 255.0 if values.max() > 1 else 1.0
        return np.asarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        grey = mode in ("LA", "La")
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert("L" if grey else "RGB"))
    wanted = "L" if mode in ("1", "L") else "RGB"
    return np.asarray(picture if mode == wanted else picture.convert(wanted))
