"""Image: a picture as uint8 pixels. Shapes: H height, W width, C channels (1 grey, 3 RGB), B rows.

Any picture becomes 8-bit grey or RGB: EXIF rotation is applied, 16 bits are scaled to 8, palettes and CMYK are
converted, transparency is laid over white.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, Finding
from ..kind import Batch, Follow, Kind, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._frames import camera_frames, film_frames
from ._image_augment import ImageAugment, augment_images
from ._sketch import sketch_pictures
from ._upload import file_bytes
from ._video_file import FILM_SUFFIXES

__all__ = ["FORMATS", "IMAGE_SUFFIXES", "ImageKind", "ImageSection"]

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # no EPS or PSD: their readers have a history
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
)
MAX_PIXELS = 50_000_000  # a 50-megapixel camera; a small file that claims more is a decompression bomb
MAX_AUTO_SIDE = 224  # what ImageNet networks are trained on
# Pillow warns from 89 and refuses from 179 megapixels; `read` refuses both from the header, by a lower bound.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class ImageSection(Section):
    """How pictures are encoded."""

    key = "image"

    size: int | tuple[int, int] | None = None
    """Side, or (height, width), that pictures are resized to. Default: their own where all agree, else up to 224."""
    top: int = Field(0, ge=0, le=70)
    """Percent of the height that is cut off at the top before anything else, such as the sky above a road."""
    bottom: int = Field(0, ge=0, le=29)
    """Percent that is cut off at the bottom, such as the hood of the car the camera is in."""
    channels: int | None = Field(None, ge=1, le=3)
    """1 for grey, 3 for RGB. Default: 3 if any picture has colour."""


class ImageKind(Kind):
    """State: `height`, `width`, `channels`, and per-channel `mean` and `std` of the training pictures, in 0..255."""

    key = "image"
    sections = (ImageSection, ImageAugment)
    suffixes: ClassVar[frozenset[str]] = IMAGE_SUFFIXES
    widget: ClassVar[str] = "file"
    accept: ClassVar[str] = "image/*"
    metadata: ClassVar[tuple[str, ...]] = ("height", "width", "mode")
    sketch_rows: ClassVar[int | None] = 20_000  # 60 microseconds each: more would be felt in the first command

    @classmethod
    def read(cls, cell: Any) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8. `cell` is a path, a file's bytes, or such an array."""
        if isinstance(cell, np.ndarray):
            return _check_array(cell)
        if isinstance(cell, Mapping):  # {"bytes", "path"}, as Hugging Face's data sets store a picture
            cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
        if cell is None:
            raise Unreadable("no picture in this row")
        if isinstance(cell, bytes) and not cell:
            raise Unreadable("zero bytes")
        source = io.BytesIO(cell) if isinstance(cell, bytes) else Path(cell)
        try:
            if isinstance(source, Path) and source.stat().st_size == 0:
                raise Unreadable("zero bytes")
            with Image.open(source, formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > MAX_PIXELS:
                    raise Unreadable(f"{width} x {height} is more than {MAX_PIXELS:,} pixels: a decompression bomb?")
                return _to_array(picture)
        except Unreadable:
            raise
        except FileNotFoundError:
            raise Unreadable("no such file") from None
        except Exception as error:  # hostile bytes make Pillow's parsers raise nearly anything
            raise Unreadable(_reason(error)) from error

    @classmethod
    def fit(cls, values: Iterable[np.ndarray], recipe: Recipe) -> dict[str, Any]:
        asked = recipe[ImageSection]
        sizes: list[tuple[int, int]] = []
        channels = 1
        total = np.zeros(3)
        squares = np.zeros(3)
        for value in values:
            value = _cut(asked, value)
            height, width = value.shape[:2]
            sizes.append((height, width))
            channels = max(channels, 1 if value.ndim == 2 else 3)
            pixels = value.reshape(height * width, -1).astype(np.float32)
            total += pixels.mean(0)
            squares += np.square(pixels).mean(0)
        if not sizes:
            raise BadInput("no readable picture among the training rows")
        height, width = _target_size(asked.size, sizes)
        channels = asked.channels or channels
        mean = total / len(sizes)
        std = np.sqrt(np.maximum(squares / len(sizes) - mean**2, 1.0))  # at least one grey level: constant pictures
        if channels == 1:
            mean, std = mean[:1], std[:1]
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "mean": [round(float(m), 3) for m in mean],
            "std": [round(float(s), 3) for s in std],
        }

    @property
    def size(self) -> tuple[int, int]:
        return self.state["height"], self.state["width"]

    def encode(self, value: np.ndarray) -> Tensor:
        """(C, H, W) uint8: channels as the state says, resized with an antialiased bilinear filter."""
        value = self._with_channels(_cut(self.recipe[ImageSection], value))
        height, width = self.size
        if value.shape[:2] != (height, width):
            value = np.asarray(Image.fromarray(value).resize((width, height), Image.Resampling.BILINEAR))
        return torch.from_numpy(np.array(_channels_first(value), order="C"))

    def _with_channels(self, value: np.ndarray) -> np.ndarray:
        if self.state["channels"] == 1:
            return value if value.ndim == 2 else np.asarray(Image.fromarray(value).convert("L"))
        return np.repeat(value[:, :, None], 3, axis=2) if value.ndim == 2 else value

    def raw_tensor(self, value: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(_channels_first(self._with_channels(value)), order="C"))

    def preprocess(self) -> nn.Module:
        return _Resize(self.size, self.recipe[ImageSection])

    def input_axes(self) -> dict[int, str]:
        return {2: "height", 3: "width"}

    @classmethod
    def digest(cls, value: np.ndarray) -> str:
        return hashlib.blake2b(str(value.shape).encode() + value.tobytes(), digest_size=16).hexdigest()

    @classmethod
    def facts(cls, value: np.ndarray) -> dict[str, Any]:
        return {
            "height": value.shape[0],
            "width": value.shape[1],
            "mode": "grey" if value.ndim == 2 else "colour",
            "constant": bool(value.min() == value.max()),
        }

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sizes = Counter(f"{fact['height']} x {fact['width']}" for fact in facts)
        return {"sizes": dict(sizes.most_common()), "modes": dict(Counter(fact["mode"] for fact in facts))}

    @classmethod
    def sketch(cls, value: np.ndarray) -> np.ndarray | None:
        return sketch_pictures(value[None])

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = []
        constant = sum(fact["constant"] for fact in facts)
        if constant:
            findings.append(
                Finding(
                    "constant-input",
                    "warning",
                    f"{constant} of {len(facts)} pictures are one single colour",
                    {"rows": constant},
                    "remove them, or find out what went wrong when they were made",
                )
            )
        there = self.summary(facts)
        modes, sizes = there["modes"], there["sizes"]
        if len(modes) > 1:
            findings.append(
                Finding(
                    "mixed-modes",
                    "note",
                    f"{modes['grey']} pictures are grey and {modes['colour']} have colour; all are encoded alike",
                    modes,
                )
            )
        if len(sizes) > 1:
            findings.append(
                Finding(
                    "mixed-sizes",
                    "note",
                    f"pictures come in {len(sizes)} sizes; all are resized to one, whatever their aspect",
                    {"sizes": dict(list(sizes.items())[:10])},
                    "image.size=N sets it",
                )
            )
        return findings

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        return augment_images(self.recipe[ImageAugment], role, batch, rng, follow)

    def draw(self, value: np.ndarray) -> Image.Image:
        picture = Image.fromarray(value)
        factor = max(1, 112 // max(picture.size))  # small pictures are shown enlarged, pixel by pixel
        if factor > 1:
            return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
        picture.thumbnail((224, 224))
        return picture

    @classmethod
    def expand(cls, argument: str) -> Iterable[Any]:
        """Beside files and folders: a whole number is a camera, and a film is its frames."""
        if argument.isdecimal() and not Path(argument).exists():
            return camera_frames(int(argument))
        return film_frames(argument) if Path(argument).suffix.lower() in FILM_SUFFIXES else super().expand(argument)

    @classmethod
    def from_request(cls, value: bytes | str) -> bytes:
        return file_bytes(value, "picture")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS:,} pixels: a decompression bomb?"
    return f"damaged ({str(error) or type(error).__name__})"


def _check_array(array: np.ndarray) -> np.ndarray:
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise Unreadable(f"an array of {array.dtype} {array.shape} is not a picture: uint8 (H, W) or (H, W, 3) is")
    return array


def _to_array(picture: Image.Image) -> np.ndarray:
    """Decode any mode to (H, W) grey or (H, W, 3) RGB, uint8."""
    upright = ImageOps.exif_transpose(picture)
    mode = upright.mode
    if mode.startswith("I") or mode == "F":  # 16-bit grey, which some formats give as 32-bit integers
        values = np.asarray(upright).astype(np.float64)
        top = 65535.0 if mode != "F" or values.max() > 255 else 255.0 if values.max() > 1 else 1.0
        return np.asarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        grey = mode in ("LA", "La")
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert("L" if grey else "RGB"))
    if mode in ("1", "L"):
        return np.asarray(upright.convert("L"))
    return np.asarray(upright.convert("RGB"))


def _rows_kept(section: ImageSection, height: int) -> slice:
    """Which rows of a picture stay; whole numbers only, so that an exported graph can do it for any height."""
    return slice(height * section.top // 100, height - height * section.bottom // 100)


def _cut(section: ImageSection, value: np.ndarray) -> np.ndarray:
    return value[_rows_kept(section, len(value))] if section.top or section.bottom else value


def _channels_first(value: np.ndarray) -> np.ndarray:
    return value[None] if value.ndim == 2 else value.transpose(2, 0, 1)


def _target_size(asked: int | tuple[int, int] | None, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    if asked is not None:
        return (asked, asked) if isinstance(asked, int) else asked
    if len(set(sizes)) == 1:
        height, width = sizes[0]
        shrink = min(1.0, MAX_AUTO_SIDE / min(height, width))
        return round(height * shrink), round(width * shrink)
    median = float(np.median([min(size) for size in sizes]))
    side = int(min(MAX_AUTO_SIDE, max(32, round(median / 32) * 32)))
    return side, side


class _Resize(nn.Module):
    """(B, C, any H, any W) uint8 to (B, C, H, W) whole numbers in 0..255, as `encode` cuts and resizes one picture."""

    def __init__(self, size: tuple[int, int], section: ImageSection) -> None:
        super().__init__()
        self.size = size
        self.section = section

    def forward(self, image: Tensor) -> Tensor:
        if self.section.top or self.section.bottom:
            image = image[:, :, _rows_kept(self.section, image.shape[2])]
            torch._check(image.shape[2] > 0)  # an export cannot see that some rows of any height stay
        resized = F.interpolate(image.float(), size=self.size, mode="bilinear", antialias=True, align_corners=False)
        return resized.round().clamp(0, 255)
