"""Image: a picture as uint8 pixels. Shapes: H height, W width, C channels (1 grey, 3 RGB), B rows.

Any picture becomes 8-bit grey or RGB: EXIF rotation is applied, 16 bits are scaled to 8, palettes and CMYK are
converted, transparency is laid over white.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, Finding
from ..kind import Batch, Follow, Kind, Pieces, Unreadable, content_digest
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._frames import camera_frames, film_frames
from ._image_augment import ImageAugment, augment_images
from ._image_decode import decode_picture, resize_picture, unreadable_reason
from ._near_pictures import near_pictures, sketch_pictures
from ._picture_facts import BORDER, shown_facts
from ._pieces import cut, squares, tinted
from ._pixels import asked_or_common_size, pixel_state, resize_pixels
from ._upload import file_bytes, file_of
from ._video_file import FILM_SUFFIXES

__all__ = ["IMAGE_SUFFIXES", "ImageKind", "ImageSection"]

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
)
FIT_PIXELS = (
    20_000  # of a picture that statistics look at: of all 187,500 it is 12 ms a picture, of these 0.3 (2026-11-25)
)
SQUARES = 8  # that an explanation cuts each side into
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
    short_side: int | None = Field(None, ge=1, le=8192)
    """Keep the aspect: the shorter side becomes this many pixels, and of that the middle, `size`, is cut out, as is
    usual with networks for ImageNet (256 and 224). Default: the whole picture, stretched to `size`."""
    channels: int | None = Field(None, ge=1, le=3)
    """1 for grey, 3 for RGB. Default: 3 if any picture has colour."""
    order: Literal["rgb", "bgr"] = "rgb"
    """The order in which the network sees three channels. Networks from Caffe and OpenCV want `bgr`."""


class ImageKind(Kind):
    """State: `height`, `width`, `channels`, and `mean` and `std` in 0..255 of each channel of the training pictures,
    in the order in which the network sees them.
    """

    key = "image"
    sections = (ImageSection, ImageAugment)
    suffixes: ClassVar[frozenset[str]] = IMAGE_SUFFIXES
    widget: ClassVar[str] = "file"
    accept: ClassVar[str] = "image/*"
    metadata: ClassVar[tuple[str, ...]] = ("height", "width", "mode")
    background: ClassVar[tuple[str, ...]] = BORDER
    traits: ClassVar[tuple[str, ...]] = ("brightness",)
    sketch_rows: ClassVar[int | None] = 5_000  # to sketch and compare more would be felt before the first step
    fit_rows: ClassVar[int | None] = 200
    """Pictures are decoded for it once more, and 200 tell the means within 0.1 of the pictures' own deviation."""

    @classmethod
    def read(cls, cell: Any) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8. `cell` is a path, a file's bytes, or such an array."""
        if isinstance(cell, np.ndarray):
            return _check_array(cell)
        file = file_of(cell, "picture")
        try:
            if isinstance(file, Path) and file.stat().st_size == 0:
                raise Unreadable("zero bytes")
            return decode_picture(file)
        except Unreadable:
            raise
        except FileNotFoundError:
            raise Unreadable("no such file") from None
        except Exception as error:  # hostile bytes make the parsers raise nearly anything
            raise Unreadable(unreadable_reason(error)) from error

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
            mean, square = _moments(value)
            total += mean
            squares += square
        if not sizes:
            raise BadInput("no readable picture among the training rows")
        size = asked_or_common_size(asked.size, sizes, MAX_AUTO_SIDE) or _usual_size(sizes)
        state = pixel_state(size, asked.channels or channels, total / len(sizes), squares / len(sizes))
        if asked.order == "bgr":
            state |= {name: state[name][::-1] for name in ("mean", "std")}
        return state

    @property
    def size(self) -> tuple[int, int]:
        return self.state["height"], self.state["width"]

    def encode(self, value: np.ndarray) -> Tensor:
        """(C, H, W) uint8: channels as the state says, resized with an antialiased bilinear filter.

        Laid out channels last, as decoders give them: a crop of such a picture is resized in half the time, 0.22
        against 0.49 ms for 3 x 224 x 224 (2026-11-27).
        """
        section = self.recipe[ImageSection]
        value = self._with_channels(_cut(section, value))
        height, width = value.shape[:2]
        size = self.size if section.short_side is None else _aspect_size(height, width, section.short_side)
        if value.shape[:2] != size:
            pixels = resize_picture(value, *size)
        else:
            pixels = torch.from_numpy(_channels_first(np.array(value, order="C")))
        pixels = _ordered(section, pixels if section.short_side is None else _middle(pixels, *self.size))
        return pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)

    def _with_channels(self, value: np.ndarray) -> np.ndarray:
        if self.state["channels"] == 1:
            return value if value.ndim == 2 else np.asarray(Image.fromarray(value).convert("L"))
        return np.repeat(value[:, :, None], 3, axis=2) if value.ndim == 2 else value

    def raw_tensor(self, value: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(_channels_first(self._with_channels(value)), order="C"))

    def preprocess(self) -> nn.Module:
        return _CutAndResize(self.size, self.recipe[ImageSection])

    def as_raw(self, encoded: Tensor) -> Tensor:
        section = self.recipe[ImageSection]
        pixels, (height, width) = _ordered(section, encoded), self.size
        if section.short_side is not None:  # a frame around it, which is cut off again
            side = section.short_side
            left, above = (side - width) // 2, (side - height) // 2
            pixels = F.pad(pixels, (left, side - width - left, above, side - height - above))
            height = side
        if section.top or section.bottom:
            whole = next(total for total in count(height) if _num_kept(section, total) == height)
            above = whole * section.top // 100
            pixels = F.pad(pixels, (0, 0, above, whole - height - above))
        return pixels

    def input_axes(self) -> dict[int, str]:
        return {2: "height", 3: "width"}

    @classmethod
    def digest(cls, value: np.ndarray) -> str:
        return content_digest(str(value.shape), value)

    @classmethod
    def facts(cls, value: np.ndarray) -> dict[str, Any]:
        return {
            "height": value.shape[0],
            "width": value.shape[1],
            "mode": "grey" if value.ndim == 2 else "colour",
            "constant": bool(value[0].min() == value[0].max() and value.min() == value.max()),  # mostly told by a row
            **shown_facts(value[None]),
        }

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sizes = Counter(f"{fact['height']} x {fact['width']}" for fact in facts)
        return {"sizes": dict(sizes.most_common()), "modes": dict(Counter(fact["mode"] for fact in facts))}

    def sketch(self, value: np.ndarray) -> np.ndarray | None:
        return sketch_pictures(value[None], self.size, colour=self.state["channels"] == 3)

    @classmethod
    def near_copies(cls, sketches: np.ndarray) -> np.ndarray:
        return near_pictures(sketches)

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

    def described(self) -> str:
        section, (height, width) = self.recipe[ImageSection], self.size
        if section.short_side is None:
            how = f"stretched to {height} x {width} (image.short_side=N keeps their aspect)"
        else:
            how = f"shorter side to {section.short_side}, of which the middle {height} x {width}"
        colours = "grey" if self.state["channels"] == 1 else section.order.upper()
        mean, std = ("/".join(f"{value:g}" for value in self.state[key]) for key in ("mean", "std"))
        return f"pictures: {how}, {colours}, less {mean}, divided by {std}"

    def made_up(self, number: int) -> np.ndarray:
        """A picture of coloured patches, of the size that the network sees or, every other one, larger and wider."""
        random = np.random.Generator(np.random.Philox(number))
        height, width = (side if number % 2 == 0 else side + 8 * number for side in self.size)
        width += 16 * number * (number % 2)
        coarse = random.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        whole = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(whole if self.state["channels"] == 3 else whole.convert("L"))

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        return augment_images(self.recipe[ImageAugment], role, batch, rng, follow)

    def pieces(self, value: np.ndarray, encoded: Tensor) -> Pieces:
        """Squares, which become the training pictures' mean colour."""
        of, lie = cut(encoded.shape[-2:], (SQUARES, SQUARES))
        blank = torch.tensor(self.state["mean"]).round().to(torch.uint8)[None, :, None, None]
        return Pieces(squares(*lie), of[None, None], blank, lie)

    def draw_pieces(self, value: np.ndarray, weights: np.ndarray) -> Image.Image:
        """The part of the picture that the network sees, tinted."""
        section = self.recipe[ImageSection]
        seen = _cut(section, value)
        if section.short_side is not None:
            height, width = seen.shape[:2]
            whole = _aspect_size(height, width, section.short_side)
            rows, columns = (round(self.size[i] * (height, width)[i] / whole[i]) for i in (0, 1))
            above, left = (height - rows) // 2, (width - columns) // 2
            seen = seen[max(0, above) : above + rows, max(0, left) : left + columns]
        return tinted(self.draw(np.ascontiguousarray(seen)), weights, float(np.abs(weights).max()))

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


def _check_array(array: np.ndarray) -> np.ndarray:
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise Unreadable(f"an array of {array.dtype} {array.shape} is not a picture: uint8 (H, W) or (H, W, 3) is")
    return array


def _moments(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square of each channel, over pixels of a grid of at most FIT_PIXELS."""
    step = max(1, math.ceil(math.sqrt(value.shape[0] * value.shape[1] / FIT_PIXELS)))
    thinned = _channels_first(value[::step, ::step])
    pixels = thinned.reshape(len(thinned), -1).astype(np.float32)
    return pixels.mean(1), np.square(pixels).mean(1)


def _rows_kept(section: ImageSection, height: int) -> slice:
    """Which rows of a picture stay; whole numbers only, so that an exported graph can do it for any height."""
    return slice(height * section.top // 100, height - height * section.bottom // 100)


def _num_kept(section: ImageSection, height: int) -> int:
    rows = _rows_kept(section, height)
    return int(rows.stop - rows.start)


def _cut(section: ImageSection, value: np.ndarray) -> np.ndarray:
    return value[_rows_kept(section, len(value))] if section.top or section.bottom else value


def _aspect_size(height: Any, width: Any, short: int) -> tuple[Any, Any]:
    """Height and width with the shorter side `short`, rounded to the nearest; whole numbers only, so that a graph can
    do it for any picture.
    """
    shorter = torch.sym_min(height, width)
    return (2 * height * short + shorter) // (2 * shorter), (2 * width * short + shorter) // (2 * shorter)


def _middle(pixels: Tensor, height: int, width: int) -> Tensor:
    """The (height, width) in the middle of (..., H, W). By index: an export cannot see how large a slice would be."""
    rows = torch.arange(height, device=pixels.device) + (pixels.shape[-2] - height) // 2
    columns = torch.arange(width, device=pixels.device) + (pixels.shape[-1] - width) // 2
    return pixels.index_select(-2, rows).index_select(-1, columns)


def _ordered(section: ImageSection, pixels: Tensor) -> Tensor:
    """(..., C, H, W) from RGB to the order that the network sees."""
    return pixels.flip(-3) if section.order == "bgr" and pixels.shape[-3] == 3 else pixels


def _channels_first(value: np.ndarray) -> np.ndarray:
    return value[None] if value.ndim == 2 else value.transpose(2, 0, 1)


def _usual_size(sizes: list[tuple[int, int]]) -> tuple[int, int]:
    median = float(np.median([min(size) for size in sizes]))
    side = int(min(MAX_AUTO_SIDE, max(32, round(median / 32) * 32)))
    return side, side


class _CutAndResize(nn.Module):
    """(B, C, any H, any W) uint8 to (B, C, H, W) whole numbers in 0..255, as `encode` cuts and resizes one picture."""

    def __init__(self, size: tuple[int, int], section: ImageSection) -> None:
        super().__init__()
        self.size = size
        self.section = section

    def forward(self, image: Tensor) -> Tensor:
        if self.section.top or self.section.bottom:
            image = image[:, :, _rows_kept(self.section, image.shape[2])]
            torch._check(image.shape[2] > 0)  # an export cannot see that some rows of any height stay
        size: tuple[Any, Any] = self.size
        if self.section.short_side is not None:
            size = _aspect_size(image.shape[2], image.shape[3], self.section.short_side)
        pixels = resize_pixels(image, size)
        return _ordered(self.section, pixels if self.section.short_side is None else _middle(pixels, *self.size))
