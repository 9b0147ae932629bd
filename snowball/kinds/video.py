"""Video: frames as uint8 pixels, sampled evenly over time. Shapes: T frames, C channels (1 or 3), H, W, B rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, Finding
from ..kind import Batch, Follow, Pieces, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._films import FilmKind, strip, tinted_strip
from ._image_augment import ImageAugment, augment_images
from ._near_pictures import near_pictures, sketch_pictures
from ._picture_facts import BORDER, shown_facts
from ._pieces import cubes, cut
from ._pixels import asked_or_common_size, pixel_state, resize_pixels
from ._video_file import FILM_SUFFIXES, MAX_FRAMES, Clip, read_clip, thinned

__all__ = ["VideoKind", "VideoSection"]

MAX_AUTO_SIDE = 112  # what R(2+1)D and its like are trained on (Tran et al., 2018)
STRIP = 6  # frames that a report shows
CUBES = (4, 6, 6)  # that an explanation cuts a clip into, along time, height and width
SKETCHED = 8  # frames that two clips are compared by


class VideoSection(Section):
    """How videos are encoded."""

    key = "video"

    frames: int = Field(16, ge=2, le=MAX_FRAMES)
    """Frames that the network sees of a clip, evenly spread over its time."""
    size: int | tuple[int, int] | None = None
    """Side, or (height, width), that frames are resized to. Default: their own where all agree, at most 112."""
    channels: int | None = Field(None, ge=1, le=3)
    """1 for grey, 3 for RGB. Default: 3 if any clip has colour."""


class VideoKind(FilmKind):
    """State: `height`, `width`, `channels`, `frames`, and per-channel `mean` and `std` of training frames, in 0..255.

    A raw value is a Clip: at most 32 frames of at most 256 pixels on the short side, whatever the file holds.
    """

    key = "video"
    sections = (VideoSection, ImageAugment)
    # Without .gif: most GIFs are pictures. A folder of animations is read as video where its task is asked for.
    suffixes: ClassVar[frozenset[str]] = FILM_SUFFIXES
    adopts: ClassVar[frozenset[str]] = frozenset(("image",))
    metadata: ClassVar[tuple[str, ...]] = (
        *("height", "width", "fps", "frames", "seconds"),
        *("has_audio", "codec", "container", "suffix"),
    )
    background: ClassVar[tuple[str, ...]] = BORDER
    traits: ClassVar[tuple[str, ...]] = ("brightness",)
    held_rows: ClassVar[int] = 16
    called: ClassVar[str] = "video"

    @classmethod
    def of_array(cls, array: np.ndarray) -> Clip:
        """(T, H, W) or (T, H, W, 3) uint8, one frame a second."""
        shaped = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
        if array.dtype != np.uint8 or not shaped or not array.size:
            raise Unreadable(f"an array of {array.dtype} {array.shape} is no video: uint8 (T, H, W) or (T, H, W, 3) is")
        num, height, width = array.shape[:3]
        facts = {"height": height, "width": width, "frames": num}
        return thinned(Clip(array, np.arange(num, dtype=float), float(num), facts))

    @classmethod
    def of_file(cls, source: Path | bytes, start: float = 0.0, end: float = math.inf) -> Clip:
        return read_clip(source, start, end)

    @classmethod
    def fit(cls, values: Iterable[Clip], recipe: Recipe) -> dict[str, Any]:
        asked = recipe[VideoSection]
        sizes: set[tuple[int, int]] = set()
        means, squares = [], []
        colour = False
        for clip in values:
            frames = clip.frames[:: max(1, len(clip.frames) // 4)]
            height, width = frames.shape[1:3]
            sizes.add((height, width))
            colour = colour or frames.ndim == 4
            pixels = frames.reshape(len(frames) * height * width, -1).astype(np.float32)
            means.append(np.broadcast_to(pixels.mean(0), 3))
            squares.append(np.broadcast_to(np.square(pixels).mean(0), 3))
        if not sizes:
            raise BadInput("no readable video among the training rows")
        smallest = min(MAX_AUTO_SIDE, *(min(size) for size in sizes))
        size = asked_or_common_size(asked.size, sizes, MAX_AUTO_SIDE) or (smallest, smallest)
        state = pixel_state(
            size, asked.channels or (3 if colour else 1), np.mean(means, axis=0), np.mean(squares, axis=0)
        )
        return {**state, "frames": asked.frames}

    @property
    def size(self) -> tuple[int, int]:
        return self.state["height"], self.state["width"]

    def encode(self, value: Clip) -> Tensor:
        """(T, C, H, W) uint8: frames by time, resized with an antialiased bilinear filter whatever their aspect."""
        height, width = self.size
        frames = self._chosen(value)
        if frames.shape[1:3] != (height, width):
            resized = [Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR) for f in frames]
            frames = np.stack([np.asarray(picture) for picture in resized])
        return _channels_first(frames)

    def raw_tensor(self, value: Clip) -> Tensor:
        """(T, C, any H, any W) uint8: which frames are chosen is a caller's to do."""
        return _channels_first(self._chosen(value))

    def _chosen(self, clip: Clip) -> np.ndarray:
        """(T, H, W) or (T, H, W, 3): the frames on show at T moments, evenly spread; few frames come twice."""
        num = self.state["frames"]
        moments = (np.arange(num) + 0.5) * clip.seconds / num
        frames: np.ndarray = clip.frames[np.maximum(np.searchsorted(clip.times, moments, side="right") - 1, 0)]
        if self.state["channels"] == 1 and frames.ndim == 4:
            return np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in frames])
        if self.state["channels"] == 3 and frames.ndim == 3:
            return np.repeat(frames[..., None], 3, axis=3)
        return frames

    def preprocess(self) -> nn.Module:
        return _ResizeFrames(self.size, self.state["frames"])

    def input_axes(self) -> dict[int, str]:
        return {3: "height", 4: "width"}

    @classmethod
    def facts(cls, value: Clip) -> dict[str, Any]:
        return {**super().facts(value), **shown_facts(value.frames[:: max(1, len(value.frames) // 4)])}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sizes = Counter(f"{fact['height']} x {fact['width']}" for fact in facts)
        counts = sorted(fact["frames"] for fact in facts)
        frames = {"fewest": counts[0], "median": counts[len(counts) // 2], "most": counts[-1]} if counts else {}
        return {"sizes": dict(sizes.most_common()), "frames": frames}

    def sketch(self, value: Clip) -> np.ndarray | None:
        frames = value.frames
        return sketch_pictures(frames[np.linspace(0, len(frames) - 1, SKETCHED).astype(int)], self.size)

    @classmethod
    def near_copies(cls, sketches: np.ndarray) -> np.ndarray:
        return near_pictures(sketches)

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = super().audit(facts)
        sizes = self.summary(facts)["sizes"]
        if len(sizes) > 1:
            message = f"videos come in {len(sizes)} sizes; all are resized to one, whatever their aspect"
            evidence = {"sizes": dict(list(sizes.items())[:10])}
            findings.append(Finding("mixed-sizes", "note", message, evidence, "video.size=N sets it"))
        few = sum(fact["frames"] < self.state["frames"] for fact in facts)
        if few:
            message = f"{few} of {len(facts)} videos have fewer frames than the {self.state['frames']} a network sees"
            evidence = {"rows": few, "frames": self.state["frames"]}
            findings.append(
                Finding("few-frames", "note", message, evidence, "some are shown twice; lower video.frames")
            )
        return findings

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        """One change a clip: all of its frames are moved, coloured and cut alike. Only saturation is left as it is."""
        section = self.recipe[ImageAugment]
        if not section.active:
            return batch
        flat = replace(batch, inputs={**batch.inputs, role: batch.inputs[role].flatten(1, 2)})
        changed = augment_images(section, role, flat, rng, follow, stacked=True)
        frames = changed.inputs[role].unflatten(1, (self.state["frames"], self.state["channels"]))
        return replace(changed, inputs={**changed.inputs, role: frames})

    def pieces(self, value: Clip, encoded: Tensor) -> Pieces:
        """Squares over a stretch of time, which become the training frames' mean colour."""
        of, lie = cut((len(encoded), *self.size), CUBES)
        blank = torch.tensor(self.state["mean"]).round().to(torch.uint8)[None, None, :, None, None]
        return Pieces(cubes(value.seconds, *lie), of[None, :, None], blank, lie)

    def draw_pieces(self, value: Clip, weights: np.ndarray) -> Image.Image:
        """A strip of frames, one of each stretch of time."""
        return tinted_strip(value.frames, weights, 112)

    def draw(self, value: Clip) -> Image.Image:
        """A strip of frames, from left to right."""
        return strip(value.frames, STRIP, 112, "RGB")


def _channels_first(frames: np.ndarray) -> Tensor:
    """(T, C, H, W)"""
    first = frames[:, None] if frames.ndim == 3 else frames.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(first, order="C"))


class _ResizeFrames(nn.Module):
    """(B, T, C, any H, any W) uint8 to (B, T, C, H, W) whole numbers in 0..255, as `encode` resizes one frame."""

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.size = size

    def forward(self, video: Tensor) -> Tensor:
        clips: Tensor = resize_pixels(video.flatten(0, 1), self.size).unflatten(0, (-1, self.frames))
        return clips
