"""Video: frames as uint8 pixels, sampled evenly over time. Shapes: T frames, C channels (1 or 3), H, W, B rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, Finding
from ..kind import Batch, Follow, Kind, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ..table import Part
from ._image_augment import ImageAugment, augment_images
from ._part import part_bounds
from ._sketch import sketch_pictures
from ._upload import file_bytes
from ._video_file import FILM_SUFFIXES, MAX_FRAMES, Clip, read_clip, thinned

__all__ = ["VideoKind", "VideoSection"]

MAX_AUTO_SIDE = 112  # what R(2+1)D and its like are trained on (Tran et al., 2018)
STRIP = 6  # frames that a report shows
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


class VideoKind(Kind):
    """State: `height`, `width`, `channels`, `frames`, and per-channel `mean` and `std` of training frames, in 0..255.

    A raw value is a Clip: at most 32 frames of at most 256 pixels on the short side, whatever the file holds.
    """

    key = "video"
    sections = (VideoSection, ImageAugment)
    # Without .gif: most GIFs are pictures. A folder of animations is read as video where its task is asked for.
    suffixes: ClassVar[frozenset[str]] = FILM_SUFFIXES
    adopts: ClassVar[frozenset[str]] = frozenset(("image",))
    timed: ClassVar[bool] = True
    metadata: ClassVar[tuple[str, ...]] = (
        *("height", "width", "fps", "frames", "seconds"),
        *("has_audio", "codec", "container", "suffix"),
    )
    held_rows: ClassVar[int] = 16
    fit_rows: ClassVar[int | None] = 32  # each is decoded for it, which takes as long as decoding it to be encoded
    widget: ClassVar[str] = "file"
    accept: ClassVar[str] = "video/*"

    @classmethod
    def read(cls, cell: Any) -> Clip:
        """`cell` is a path, a file's bytes, a Part of a file, or an array (T, H, W) or (T, H, W, 3) of uint8."""
        if isinstance(cell, np.ndarray):
            return _clip_of_array(cell)
        if isinstance(cell, Part):
            return _read_part(cell)
        if isinstance(cell, Mapping):  # {"bytes", "path"}, as Hugging Face's data sets store a video
            cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
        if not cell:
            raise Unreadable("zero bytes" if cell == b"" else "no video in this row")
        return read_clip(cell if isinstance(cell, bytes) else Path(cell))

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
        height, width = _target_size(asked.size, sizes)
        channels = asked.channels or (3 if colour else 1)
        mean = np.mean(means, axis=0)
        std = np.sqrt(np.maximum(np.mean(squares, axis=0) - mean**2, 1.0))
        if channels == 1:
            mean, std = mean[:1], std[:1]
        return {
            "height": height,
            "width": width,
            "channels": channels,
            "frames": asked.frames,
            "mean": [round(float(m), 3) for m in mean],
            "std": [round(float(s), 3) for s in std],
        }

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
    def digest(cls, value: Clip) -> str:
        shape = str(value.frames.shape).encode()
        return hashlib.blake2b(shape + value.frames.tobytes(), digest_size=16).hexdigest()

    @classmethod
    def facts(cls, value: Clip) -> dict[str, Any]:
        return {**value.facts, "constant": bool((value.frames == value.frames[:1]).all())}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sizes = Counter(f"{fact['height']} x {fact['width']}" for fact in facts)
        counts = sorted(fact["frames"] for fact in facts)
        frames = {"fewest": counts[0], "median": counts[len(counts) // 2], "most": counts[-1]} if counts else {}
        return {"sizes": dict(sizes.most_common()), "frames": frames}

    @classmethod
    def sketch(cls, value: Clip) -> np.ndarray | None:
        frames = value.frames
        return sketch_pictures(frames[np.linspace(0, len(frames) - 1, min(SKETCHED, len(frames))).astype(int)])

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = []
        still = sum(fact["constant"] for fact in facts)
        if still:
            message = f"{still} of {len(facts)} videos show the same picture all the time"
            fix = "remove them, or find out what went wrong when they were made"
            findings.append(Finding("constant-input", "warning", message, {"rows": still}, fix))
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

    def draw(self, value: Clip) -> Image.Image:
        """A strip of frames, from left to right."""
        chosen = value.frames[np.linspace(0, len(value.frames) - 1, min(STRIP, len(value.frames))).astype(int)]
        height = 112
        width = max(1, min(3 * height, round(chosen.shape[2] * height / chosen.shape[1])))
        strip = Image.new("RGB", (len(chosen) * (width + 2) - 2, height), "white")
        for number, frame in enumerate(chosen):
            strip.paste(Image.fromarray(frame).resize((width, height)).convert("RGB"), (number * (width + 2), 0))
        return strip

    @classmethod
    def from_request(cls, value: bytes | str) -> bytes:
        return file_bytes(value, "video")


def _read_part(part: Part) -> Clip:
    """Errors name the file, since the row's place does not."""
    start, end = part_bounds(part)
    try:
        return read_clip(Path(part.path), start, end)
    except Unreadable as reason:
        raise Unreadable(f"{Path(part.path).name}: {reason}") from reason


def _clip_of_array(array: np.ndarray) -> Clip:
    shaped = array.ndim == 3 or (array.ndim == 4 and array.shape[3] == 3)
    if array.dtype != np.uint8 or not shaped or not array.size:
        raise Unreadable(f"an array of {array.dtype} {array.shape} is no video: uint8 (T, H, W) or (T, H, W, 3) is")
    num, height, width = array.shape[:3]
    facts = {"height": height, "width": width, "frames": num}
    return thinned(Clip(array, np.arange(num, dtype=float), float(num), facts))


def _target_size(asked: int | tuple[int, int] | None, sizes: set[tuple[int, int]]) -> tuple[int, int]:
    if asked is not None:
        return (asked, asked) if isinstance(asked, int) else asked
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        shrink = min(1.0, MAX_AUTO_SIDE / min(height, width))
        return round(height * shrink), round(width * shrink)
    side = min(MAX_AUTO_SIDE, *(min(size) for size in sizes))
    return side, side


def _channels_first(frames: np.ndarray) -> Tensor:
    """(T, C, H, W)"""
    first = frames[:, None] if frames.ndim == 3 else frames.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(first, order="C"))


class _ResizeFrames(nn.Module):
    """(B, T, C, any H, any W) uint8 to (B, T, C, H, W) whole numbers in 0..255, as `encode` resizes one frame."""

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        super().__init__()
        self.size = size
        self.frames = frames

    def forward(self, video: Tensor) -> Tensor:
        flat = video.flatten(0, 1).float()
        resized = F.interpolate(flat, size=self.size, mode="bilinear", antialias=True, align_corners=False)
        clips: Tensor = resized.round().clamp(0, 255).unflatten(0, (-1, self.frames))
        return clips
