"""Lips: grey frames of a film of somebody who speaks, 25 a second by time stamps, cut to the mouth.

Shapes: T frames of a row (more in a longer film), H, W, B rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field, field_validator
from torch import Tensor

from ..finding import BadInput, Finding
from ..kind import Absent, Batch, Follow, Pieces, Unreadable
from ..recipe import Recipe, Section
from ..rng import SampleRandom
from ._films import FilmKind, strip, tinted_strip
from ._image_augment import ImageAugment, augment_images
from ._mouth import SMALLEST, Box, can_find, find_face, mouth_of
from ._pieces import cubes, cut
from ._sound_file import is_sound
from ._video_file import FILM_SUFFIXES, MAX_FILM, read_clip

__all__ = ["PADDING", "RATE", "Film", "LipsKind", "LipsSection"]

RATE = 25.0  # frames a second: what cameras of speech films have, and lips do not move faster (Assael et al., 2016)
PADDING = 255
"""The grey level that is none: pixels end one below it, so that a frame of it is no frame."""
SIZE = (48, 96)
CUBES, HIDDEN = (8, 4, 4), 127  # that an explanation cuts a film into, along time, height and width; what they become
STRIP = 8  # frames that a report shows
MOSTLY = 0.5  # share of films with a face from which mouths are cropped unasked


class LipsSection(Section):
    """Which part of a film is looked at."""

    key = "lips"

    size: tuple[int, int] = SIZE
    """Height and width that the part is resized to; a part that is smaller keeps its own."""
    crop: str = "auto"
    """`mouth`: below the face that OpenCV finds in each film; `whole`: all of the picture; or the mouth's place, the
    same in all films, as `left,top,right,bottom` in shares of width and height. `auto`: the mouth where OpenCV is
    installed and finds a face in most training films, else the whole."""
    max_seconds: float = Field(30.0, gt=0, le=MAX_FILM)
    """Longer films are set aside, and named; columns `start` and `end` cut them."""

    @field_validator("crop", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("crop")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("auto", "mouth", "whole"):
            _box_of(value)
        return value

    @field_validator("size")
    @classmethod
    def _sides(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(8 <= side <= 256 for side in value):
            raise ValueError("should be a height and a width of 8 to 256 pixels")
        return value


def _box_of(text: str) -> Box:
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("should be auto, mouth, whole, or left,top,right,bottom as shares of 0 to 1") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError("should be left,top,right,bottom as shares of 0 to 1, left before right and top before bottom")
    return left, top, right, bottom


@dataclass(frozen=True)
class Film:
    """A film as a raw value: `frames` (T, H, W) uint8 grey, 25 a second; `facts` tell of the whole file."""

    frames: np.ndarray
    facts: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        return len(self.frames) / RATE

    @cached_property
    def face(self) -> Box | None:
        """Where the face is, looked for once; None where there is none, or the picture is too small for one."""
        return find_face(self.frames) if min(self.frames.shape[1:]) >= SMALLEST else None


class LipsKind(FilmKind):
    """State: `crop` (`mouth`, `whole`, or a box), `face`, which stands in where a film shows none, `height`, `width`.

    A raw value is a Film. Encoded it is (T, H, W) uint8; a batch is padded with PADDING.
    There are no sketches: films of one speaker before one wall are all alike.
    """

    key = "lips"
    column: ClassVar[str | None] = "video"
    sections = (LipsSection, ImageAugment)
    padding: ClassVar[int | None] = PADDING
    held_rows: ClassVar[int] = 4
    called: ClassVar[str] = "film"

    @classmethod
    def of_array(cls, array: np.ndarray) -> Film:
        """(T, H, W) uint8, 25 frames a second."""
        if array.dtype != np.uint8 or array.ndim != 3 or not array.size:
            raise Unreadable(f"an array of {array.dtype} {array.shape} is no film of lips: uint8 (T, H, W) is")
        num, height, width = array.shape
        if num > MAX_FILM * RATE:
            raise Unreadable(f"{num / RATE:,.0f} s of film: at most {MAX_FILM:g} s a row")
        facts = {"height": height, "width": width, "fps": RATE, "frames": num, "seconds": round(num / RATE, 2)}
        return Film(array, facts)

    @classmethod
    def of_file(cls, source: Path | bytes, start: float = 0.0, end: float = math.inf) -> Film:
        with suppress(OSError):  # what is wrong is said below, as of any film
            if is_sound(source):
                raise Absent("no pictures in it: a sound file")
        clip = read_clip(source, start, end, RATE, grey=True)
        num = max(1, round(clip.seconds * RATE))
        moments = (np.arange(num) + 0.5) / RATE
        frames = clip.frames[np.maximum(np.searchsorted(clip.times, moments, side="right") - 1, 0)]
        return Film(frames, clip.facts)

    @classmethod
    def fit(cls, values: Iterable[Film], recipe: Recipe) -> dict[str, Any]:
        asked = recipe[LipsSection]
        looks = asked.crop == "mouth" or (asked.crop == "auto" and can_find())
        faces, held = [], []
        for film in values:
            faces.append(film.face if looks else None)
            held.append(film.frames[:1])
        if not held:
            raise BadInput("no readable film among the training rows")
        found = [face for face in faces if face is not None]
        crop: str | list[float] = asked.crop
        if crop == "auto":
            crop = "mouth" if len(found) > MOSTLY * len(faces) else "whole"
        elif crop == "mouth" and not found:
            raise BadInput(
                f"lips.crop=mouth: no face in any of {len(faces)} training films; lips.crop=whole takes all of the"
                " picture, lips.crop=LEFT,TOP,RIGHT,BOTTOM a part of it"
            )
        elif crop not in ("mouth", "whole"):
            crop = list(_box_of(asked.crop))
        face = [round(float(side), 4) for side in np.median(found, axis=0)] if found and crop == "mouth" else None
        boxes = [_place(crop, one, face) for one in faces]
        parts = [_cut(frames, box) for frames, box in zip(held, boxes, strict=True)]
        height, width = (min(side, max(p.shape[axis] for p in parts)) for axis, side in enumerate(asked.size, 1))
        return {"crop": crop, "face": face, "height": height, "width": width}

    @property
    def size(self) -> tuple[int, int]:
        return self.state["height"], self.state["width"]

    def encode(self, value: Film) -> Tensor:
        """(T, H, W) uint8, none of them PADDING."""
        if value.seconds > (most := self.recipe[LipsSection].max_seconds):
            raise Unreadable(f"{value.seconds:,.1f} s are more than lips.max_seconds={most:g}")
        return torch.from_numpy(np.minimum(self.mouth(value), PADDING - 1))

    def mouth(self, value: Film) -> np.ndarray:
        """(T, H, W) uint8: the part of each frame that is looked at, resized."""
        frames = _cut(value.frames, _place(self.state["crop"], self._face(value), self.state["face"]))
        height, width = self.size
        if frames.shape[1:] == (height, width):
            return frames
        resized = [Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR) for f in frames]
        return np.stack([np.asarray(picture) for picture in resized])

    def _face(self, value: Film) -> Box | None:
        return value.face if self.state["crop"] == "mouth" else None

    def nothing(self) -> Tensor:
        return torch.full((1, *self.size), PADDING, dtype=torch.uint8)

    def input_axes(self) -> dict[int, str]:
        return {1: "frames"}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sizes = Counter(f"{fact['height']} x {fact['width']}" for fact in facts)
        seconds = sorted(fact["seconds"] for fact in facts)
        if not seconds:
            return {}
        lengths = {"shortest": seconds[0], "median": seconds[len(seconds) // 2], "longest": seconds[-1]}
        return {"sizes": dict(sizes.most_common()), "seconds": lengths}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        findings = super().audit(facts)
        crop = self.state["crop"]
        about = {"mouth": "the mouth, below the face that OpenCV finds", "whole": "the whole picture"}
        place = about.get(str(crop)) or "the part " + ", ".join(f"{side:g}" for side in crop)
        message = f"of films, the network sees {place}, as {self.size[0]} x {self.size[1]} grey pixels"
        fix = (
            "lips.crop sets it; pip install 'snowball[opencv]' finds mouths" if not can_find() else "lips.crop sets it"
        )
        return [*findings, Finding("lips-crop", "note", message, {"crop": crop}, fix)]

    def notes(self, value: Film) -> list[str]:
        if self.state["crop"] == "mouth" and value.face is None:
            return ["no face was found in it: the mouth is taken to be where it usually is"]
        return []

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        """One change a film: all of its frames are moved and lit alike, and padding stays padding."""
        section = self.recipe[ImageAugment]
        if not section.active:
            return batch
        frames = batch.inputs[role]  # (B, T, H, W): frames stand where channels of a picture would
        held = (frames != PADDING).flatten(2).any(2)[:, :, None, None]
        changed = augment_images(section, role, batch, rng, follow, stacked=True)
        pixels = changed.inputs[role].round().clamp(0, PADDING - 1).to(torch.uint8).masked_fill(~held, PADDING)
        return replace(changed, inputs={**changed.inputs, role: pixels})

    def pieces(self, value: Film, encoded: Tensor) -> Pieces:
        """Squares over a stretch of time, which become mid-grey."""
        of, lie = cut(encoded.shape, CUBES)
        return Pieces(
            cubes(value.seconds, *lie), of[None], torch.tensor(HIDDEN, dtype=torch.uint8).reshape(1, 1, 1, 1), lie
        )

    def draw_pieces(self, value: Film, weights: np.ndarray) -> Image.Image:
        """A strip of what the network sees, one frame of each stretch of time."""
        return tinted_strip(self.mouth(value), weights, 64)

    def draw(self, value: Film) -> Image.Image:
        """What the network sees: a strip of frames, from left to right."""
        return strip(self.mouth(value), STRIP, 64, "L")

    @classmethod
    def expand(cls, argument: str) -> Iterable[Any]:
        path = Path(argument)
        if not path.is_dir():
            return [argument]
        return sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in FILM_SUFFIXES and file.is_file())


def _place(crop: str | Sequence[float], face: Box | None, usual: Sequence[float] | None) -> Box:
    """The box that is looked at."""
    if crop == "mouth":
        left, top, right, bottom = face or usual or (0.0, 0.0, 1.0, 1.0)
        return mouth_of((left, top, right, bottom))
    if isinstance(crop, str):
        return 0.0, 0.0, 1.0, 1.0
    left, top, right, bottom = crop
    return left, top, right, bottom


def _cut(frames: np.ndarray, box: Box) -> np.ndarray:
    height, width = frames.shape[1:]
    left, right = min(width - 1, int(box[0] * width)), max(1, round(box[2] * width))
    top, bottom = min(height - 1, int(box[1] * height)), max(1, round(box[3] * height))
    return frames[:, top : max(bottom, top + 1), left : max(right, left + 1)]
