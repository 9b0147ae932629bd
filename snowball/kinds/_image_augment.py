"""Augmentation of pictures: batched, on the batch's device, one resampling for all geometry.

What a sample undergoes depends only on (seed, epoch, its index), see rng.py. Shapes: B rows, C channels, H, W.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ..kind import Batch, Follow
from ..recipe import Section
from ..rng import SampleRandom
from ..threads import one_core_each

__all__ = ["ImageAugment", "augment_images"]

CROPPED_IN_PIXELS = (
    64 * 64
)  # pixels from which a crop begins and ends at whole ones; smaller pictures would lose variety


class ImageAugment(Section):
    """Random changes to training pictures. Every amount is a largest value; 0 switches it off."""

    key = "augment"

    name: Literal["default", "none"] = "default"
    """`none` switches all of it off, whatever the other keys say."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Degrees, to either side."""
    scale: float = Field(0.0, ge=0, lt=1)
    """Share by which a picture grows or shrinks: 0.1 is 0.9 to 1.1."""
    shift: float = Field(0.0, ge=0, lt=1)
    """Share of the side by which a picture moves, each way."""
    shear: float = Field(0.0, ge=0, le=45)
    """Degrees, to either side."""
    crop: float = Field(0.0, ge=0, lt=1)
    """Share of the area that a random crop may lose before it is resized back."""
    flip: float = Field(0.0, ge=0, le=1)
    """Probability of a left-right flip. Off by default: a flipped digit, letter or road sign is another one."""
    colour: float = Field(0.0, ge=0, le=1)
    """Brightness, contrast and saturation each change by up to this share."""
    erase: float = Field(0.0, ge=0, le=1)
    """Probability that a rectangle of 2 to 33 % of the area is replaced by the picture's mean (Zhong et al., 2017)."""
    mixup: float = Field(0.0, ge=0, le=4)
    """alpha of mixup: pictures and targets are blended in pairs by a Beta(alpha, alpha) share (Zhang et al., 2018)."""
    cutmix: float = Field(0.0, ge=0, le=4)
    """alpha of cutmix: a rectangle comes from another picture, targets in proportion (Yun et al., 2019)."""
    randaugment: int = Field(0, ge=0, le=8)
    """Operations applied to each picture, drawn from ten, as in RandAugment (Cubuk et al., 2020)."""
    magnitude: float = Field(0.3, ge=0, le=1)
    """Strength of those operations, from 0 to 1."""

    @cached_property
    def active(self) -> bool:
        """Whether anything is switched on; asked in every step, so found out once."""
        amounts = self.rotate, self.scale, self.shift, self.shear, self.crop, self.flip, self.colour, self.erase
        return self.name != "none" and any((*amounts, self.mixup, self.cutmix, self.randaugment))


def augment_images(
    recipe: ImageAugment, role: str, batch: Batch, rng: SampleRandom, follow: Follow, *, stacked: bool = False
) -> Batch:
    """`batch.inputs[role]` (B, C, H, W) in 0..255 becomes a float32 variant; targets follow moves and mixtures.

    `stacked`: C are the channels of several pictures, such as the frames of a film, which all undergo the same. Their
    saturation stays.
    """
    if not recipe.active:
        return batch
    images = batch.inputs[role]
    chosen = _draw_operations(recipe, rng, len(images))
    images, theta = _geometry(recipe, images, rng, chosen)
    images = _colours(recipe, images, rng, chosen, saturate=images.shape[1] == 3 and not stacked)
    if recipe.erase:
        images = _erase(recipe.erase, images, rng)
    targets = batch.targets if theta is None else follow.warp(batch.targets, theta)
    batch = replace(batch, inputs={**batch.inputs, role: images}, targets=targets)
    if recipe.mixup or recipe.cutmix:
        batch = _mix_pairs(recipe, role, batch, rng, follow)
    return batch


# RandAugment's operations: five of geometry, merged into the one resampling, and five of colour.
_OPERATIONS = (
    "rotate",
    "shear_x",
    "shear_y",
    "shift_x",
    "shift_y",
    "brightness",
    "contrast",
    "saturation",
    "posterize",
    "solarize",
)


def _draw_operations(recipe: ImageAugment, rng: SampleRandom, num: int) -> dict[str, Tensor]:
    """operation -> (B,) signed strength in -1..1; 0 for a sample that does not undergo it. Empty when off."""
    if not recipe.randaugment:
        return {}
    rank = rng.uniform(len(_OPERATIONS)).argsort(1).argsort(1)
    sign = (rng.uniform(len(_OPERATIONS)) < 0.5).float() * 2 - 1
    strength = (rank < recipe.randaugment) * sign * recipe.magnitude  # (B, operations)
    return {name: strength[:, i] for i, name in enumerate(_OPERATIONS)}


def _geometry(
    recipe: ImageAugment, images: Tensor, rng: SampleRandom, chosen: dict[str, Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Rotation, scale, shear, shift, crop and flip as one affine map and one bilinear resampling; and the map."""
    height, width = images.shape[2:]
    if not (any((recipe.rotate, recipe.scale, recipe.shift, recipe.shear)) or chosen):
        if not recipe.crop:
            return _flip(recipe.flip, images, rng) if recipe.flip else (images.float(), None)
        if height * width >= CROPPED_IN_PIXELS:
            return _crop(recipe, images, rng)
    images = images.float()
    angle, grow, shift_x, shift_y, shear_x, area, place_x, place_y = rng.uniform(8, -1, 1).unbind(1)
    zero = torch.zeros_like(angle)
    angle = angle * math.radians(recipe.rotate) + chosen.get("rotate", zero) * math.radians(30)
    shear_x = shear_x * math.tan(math.radians(recipe.shear)) + chosen.get("shear_x", zero) * 0.3
    shear_y = chosen.get("shear_y", zero) * 0.3
    side = (1 - recipe.crop * (area + 1) / 2).sqrt()  # of the crop, as a share of the picture's
    zoom = side / (1 + grow * recipe.scale)
    shift_x = shift_x * 2 * recipe.shift + place_x * (1 - side) + chosen.get("shift_x", zero) * 0.6
    shift_y = shift_y * 2 * recipe.shift + place_y * (1 - side) + chosen.get("shift_y", zero) * 0.6
    mirror = 1 - 2 * (rng.uniform(1)[:, 0] < recipe.flip).float() if recipe.flip else 1 - zero
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    aspect = height / width  # coordinates run from -1 to 1 on either side: rotation needs equal units
    row_x = torch.stack([(cos + sin * shear_y) * mirror, (cos * shear_x + sin) * aspect, shift_x], 1)
    row_y = torch.stack([(cos * shear_y - sin) * mirror / aspect, cos - sin * shear_x, shift_y], 1)
    theta = torch.stack([row_x, row_y], 1)  # (B, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False), theta


def _flip(probability: float, images: Tensor, rng: SampleRandom) -> tuple[Tensor, Tensor]:
    flipped = rng.uniform(1)[:, 0] < probability
    theta = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    theta[:, 0, 0] = torch.where(flipped, -1.0, 1.0)
    return torch.where(flipped[:, None, None, None], images.flip(3), images).float(), theta


def _crop(recipe: ImageAugment, images: Tensor, rng: SampleRandom) -> tuple[Tensor, Tensor]:
    """A crop of whole pixels, resized back, and a flip; and the map. Nothing from beyond the crop's edge is seen."""
    height, width = images.shape[2:]
    area, place_x, place_y, chance = rng.uniform(4).unbind(1)
    side = (1 - recipe.crop * area).sqrt()  # of the crop, as a share of the picture's
    tall, wide = (side * height).round().clamp(min=1), (side * width).round().clamp(min=1)
    top, left = ((height - tall) * place_y).round(), ((width - wide) * place_x).round()
    flipped = chance < recipe.flip
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = torch.where(flipped, -wide, wide) / width
    theta[:, 1, 1] = tall / height
    theta[:, 0, 2] = (2 * left + wide) / width - 1
    theta[:, 1, 2] = (2 * top + tall) / height - 1
    if images.device.type != "cpu":
        return _sample_within(images.float(), theta), theta
    return _resize_crops(images, torch.stack([top, tall, left, wide, flipped], 1).int().tolist()), theta


def _sample_within(images: Tensor, theta: Tensor) -> Tensor:
    """Upright crops by an affine map; places between the outermost pixels' centres and the crop's edge are those."""
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)  # (B, H, W, 2)
    pixel = torch.tensor([1 / images.shape[3], 1 / images.shape[2]], device=images.device)
    reach = theta[:, [0, 1], [0, 1]].abs() - pixel  # from the crop's centre to its outermost pixels' centres
    low, high = (theta[:, :, 2] - reach)[:, None, None], (theta[:, :, 2] + reach)[:, None, None]
    grid = grid.maximum(low).minimum(high)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _resize_crops(images: Tensor, crops: list[list[int]]) -> Tensor:
    """As `_sample_within`, within one grey level where pictures are uint8: each by itself, in threads.

    0.2 ms of one core for 3 x 224 x 224, where sampling a batch by a grid takes 2.0 (2026-11-27).
    """
    resized = torch.empty_like(images, dtype=torch.float32)  # laid out as they are

    @torch.inference_mode()
    def resize(numbers: range) -> None:
        for n in numbers:
            top, tall, left, wide, flipped = crops[n]
            part = images[n : n + 1, :, top : top + tall, left : left + wide]
            part = part.flip(3) if flipped else part
            resized[n : n + 1] = F.interpolate(part, images.shape[2:], mode="bilinear", align_corners=False)

    threads = torch.get_num_threads()
    with one_core_each(threads) as pool:
        list(pool.map(resize, [range(start, len(crops), threads) for start in range(threads)]))
    return resized


def _colours(
    recipe: ImageAugment, images: Tensor, rng: SampleRandom, chosen: dict[str, Tensor], *, saturate: bool
) -> Tensor:
    if not (recipe.colour or chosen):
        return images
    zero = torch.zeros(len(images), device=images.device)
    brightness, contrast, saturation = (
        (1 + amount * recipe.colour + chosen.get(name, zero) * 0.9)[:, None, None, None]
        for amount, name in zip(rng.uniform(3, -1, 1).unbind(1), ("brightness", "contrast", "saturation"), strict=True)
    )
    images = images * brightness
    images = torch.lerp(images.mean((1, 2, 3), keepdim=True), images, contrast)
    if saturate:
        images = torch.lerp(images.mean(1, keepdim=True), images, saturation)
    images = images.clamp(0, 255)
    if chosen:
        step = 2 ** (chosen["posterize"].abs() * 5).round()[:, None, None, None]  # keeps 8 to 3 bits
        images = (images / step).floor() * step
        threshold = (255 * (1 - chosen["solarize"].abs()))[:, None, None, None]
        images = torch.where(images > threshold, 255 - images, images)
    return images


def _rectangle(area: Tensor, rng: SampleRandom, height: int, width: int) -> Tensor:
    """(B, 1, H, W) true inside a rectangle of that share of the picture, at a random place and aspect."""
    aspect, x, y = rng.uniform(3).unbind(1)
    ratio = (0.3 * (1 / 0.3**2) ** aspect).sqrt()  # log-uniform between 0.3 and 1 / 0.3
    tall = (area.sqrt() * ratio).clamp(max=1) * height
    wide = (area.sqrt() / ratio).clamp(max=1) * width
    rows = torch.arange(height, device=area.device)[None, :, None] + 0.5
    columns = torch.arange(width, device=area.device)[None, None, :] + 0.5
    top, left = (y * (height - tall))[:, None, None], (x * (width - wide))[:, None, None]
    inside = (rows >= top) & (rows < top + tall[:, None, None])
    inside = inside & (columns >= left) & (columns < left + wide[:, None, None])
    return inside[:, None]


def _erase(probability: float, images: Tensor, rng: SampleRandom) -> Tensor:
    chance, area = rng.uniform(2).unbind(1)
    mask = _rectangle(0.02 + area * 0.31, rng, *images.shape[2:])
    mask = mask & (chance < probability)[:, None, None, None]
    return torch.where(mask, images.mean((2, 3), keepdim=True), images)


def _mix_pairs(recipe: ImageAugment, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
    """Blend each sample with the next one of its batch; a sample with both on draws which of the two it gets."""
    images = batch.inputs[role]
    other = images.roll(1, 0)
    use_cutmix = rng.uniform(1)[:, 0] < (0.5 if recipe.mixup and recipe.cutmix else float(recipe.cutmix > 0))
    keep = torch.ones(len(images), device=images.device)
    if recipe.mixup:
        share = _beta(recipe.mixup, rng)
        keep = torch.where(use_cutmix, keep, share)
        images = torch.lerp(other, images, keep[:, None, None, None])
    if recipe.cutmix:
        share = _beta(recipe.cutmix, rng)
        mask = _rectangle(1 - share, rng, *images.shape[2:]) & use_cutmix[:, None, None, None]
        images = torch.where(mask, other, images)
        keep = torch.where(use_cutmix, 1 - mask.float().mean((1, 2, 3)), keep)
    return replace(batch, inputs={**batch.inputs, role: images}, targets=follow.blend(batch.targets, keep))


def _beta(alpha: float, rng: SampleRandom, tries: int = 64) -> Tensor:
    """(B,) draws of Beta(alpha, alpha) by Johnk's method: the first of many tries that is accepted."""
    u, v = (rng.uniform(tries, 1e-7, 1) ** (1 / alpha) for _ in range(2))
    accepted = (u + v <= 1).float()
    first = accepted.argmax(1, keepdim=True)
    return (u / (u + v)).gather(1, first)[:, 0]
