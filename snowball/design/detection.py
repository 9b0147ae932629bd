"""Networks that find boxes: a backbone, a pyramid of features, and a head at every place of three grids.

One stage and no anchors, as in FCOS (Tian et al., 2019): every place of a grid says which object it is in, and how far
the object's four sides are away. Shapes: B pictures, C channels, H, W; h, w of a grid; N places in all grids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..finding import BadInput, nearest
from .image import ImageShape, PixelNetwork

__all__ = ["DETECTORS", "Detector", "build_detector"]

WIDTH = 64  # channels of the pyramid and the head
PRIOR = 0.01  # score of every place before training: most are background (Lin et al., 2017)
START = 2.0  # cells that a side is away before training
SMALL_SIDE = 128  # pictures up to this side are looked at twice as finely


class Detector(PixelNetwork):
    """`model(image=x)`: (B, C, H, W) in 0..255 to `logits` (B, N, classes), `boxes` and `places` (B, N, 4).

    Boxes are x1, y1, x2, y2, places x, y and half a cell's sides, all in shares of the picture.
    """

    def __init__(self, backbone: nn.Module, channels: Sequence[int], num_classes: int, norm: tuple[Any, Any]) -> None:
        super().__init__(*norm)
        self.backbone = backbone
        self.pyramid = Pyramid(channels)
        self.score_branch, self.side_branch = _branch(), _branch()
        self.logits = nn.Conv2d(WIDTH, num_classes, 3, padding=1)
        self.sides = nn.Conv2d(WIDTH, 4, 3, padding=1)
        nn.init.normal_(self.logits.weight, std=0.01)
        assert self.logits.bias is not None
        nn.init.constant_(self.logits.bias, -math.log((1 - PRIOR) / PRIOR))
        nn.init.normal_(self.sides.weight, std=0.01)
        assert self.sides.bias is not None
        nn.init.zeros_(self.sides.bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        levels = self.pyramid(self.backbone(self.standardise(image)))
        logits, boxes, places = [], [], []
        for level in levels:
            logits.append(self.logits(self.score_branch(level)).flatten(2))
            sides = self.sides(self.side_branch(level)).float().clamp(-8, 8).exp() * START  # (B, 4, h, w), in cells
            height, width = level.shape[2:]
            x, y = _grid(height, width, level.device)
            left, top, right, bottom = sides.unbind(1)
            edges = [x - left / width, y - top / height, x + right / width, y + bottom / height]
            boxes.append(torch.stack(edges, 1).flatten(2))
            half = [torch.full_like(x, 0.5 / width), torch.full_like(x, 0.5 / height)]
            places.append(torch.stack([x, y, *half]).flatten(1))
        place = torch.cat(places, 1).t()[None].expand(image.shape[0], -1, -1)  # len() would make the batch a constant
        return {"logits": torch.cat(logits, 2).mT, "boxes": torch.cat(boxes, 2).mT, "places": place}


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centres of the cells, x and y (h, w) each, in shares of the picture."""
    x = (torch.arange(width, device=device) + 0.5) / width
    y = (torch.arange(height, device=device) + 0.5) / height
    return x.expand(height, width), y[:, None].expand(height, width)


def _branch() -> nn.Module:
    """Two convolutions that all levels share; normalised by groups, since each level has statistics of its own."""
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.GroupNorm(8, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers)


class Pyramid(nn.Module):
    """Feature maps from fine to coarse, each with what the coarser ones see added (Lin et al., 2017)."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(given, WIDTH, 1) for given in channels)
        self.smooth = nn.ModuleList(conv_norm(WIDTH, WIDTH) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        levels = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for at in range(len(levels) - 2, -1, -1):
            levels[at] = levels[at] + F.interpolate(levels[at + 1], size=levels[at].shape[2:], mode="nearest")
        return [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]


def conv_norm(given: int, made: int, stride: int = 1) -> nn.Module:
    """Convolution 3x3, BatchNorm, ReLU."""
    conv = nn.Conv2d(given, made, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(made), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_norm(width, width), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class LightBackbone(nn.Module):
    """A small residual network with features at strides 8, 16 and 32; half of that for small pictures."""

    channels = (64, 128, 160)

    def __init__(self, given: int, fine: bool) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(given, 16, 1 if fine else 2), conv_norm(16, 32, 2), Residual(32))
        stages, width = [], 32
        for made, depth in zip(self.channels, (1, 1, 1) if fine else (2, 2, 1), strict=True):
            stages.append(nn.Sequential(conv_norm(width, made, 2), *(Residual(made) for _ in range(depth))))
            width = made
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class TimmBackbone(nn.Module):
    """The last three feature maps of any network of timm that gives some."""

    def __init__(self, name: str, shape: ImageShape) -> None:
        super().__init__()
        import timm  # 4 to 10 s to import: only for its own networks

        if not timm.is_model(name):
            close = nearest(name.partition(".")[0], timm.list_models())
            raise BadInput(f"model timm:{name}: timm {timm.__version__} has no such network{close}")
        try:
            body: Any = timm.create_model(
                name, features_only=True, in_chans=shape.channels, pretrained=False, out_indices=(-3, -2, -1)
            )
            features = body.eval()(torch.zeros(1, shape.channels, shape.height, shape.width))
        except (RuntimeError, AssertionError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(
                f"model timm:{name} gives no feature maps for pictures of {shape.channels} x {shape.height} x"
                f" {shape.width} ({str(error).splitlines()[0]}); try image.size=224, or timm:resnet18"
            ) from error
        self.body: nn.Module = body.train()
        self.channels = tuple(feature.shape[1] for feature in features)

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.body(x)
        return features


DETECTORS = {
    "light": "A small one-stage detector without anchors that trains from scratch on a CPU in minutes.",
    "timm:NAME": "the same pyramid and head on any network of timm that gives feature maps, e.g. timm:resnet18",
}


def build_detector(name: str, shape: ImageShape, mean: list[float], std: list[float]) -> nn.Module:
    """A detector by name: `light`, or `timm:NAME`. `shape.num_outputs` are its classes.

    >>> network = build_detector("light", ImageShape(3, 96, 128, 2), [0.0] * 3, [1.0] * 3)
    >>> {name: tuple(value.shape) for name, value in network(image=torch.zeros(1, 3, 96, 128)).items()}
    {'logits': (1, 1008, 2), 'boxes': (1, 1008, 4), 'places': (1, 1008, 4)}
    """
    backbone: LightBackbone | TimmBackbone
    if name.startswith("timm:"):
        backbone = TimmBackbone(name.removeprefix("timm:"), shape)
    elif name == "light":
        backbone = LightBackbone(shape.channels, min(shape.height, shape.width) <= SMALL_SIDE)
    else:
        raise BadInput(f"model {name!r} is not one of {', '.join(DETECTORS)}{nearest(name, DETECTORS)}")
    return Detector(backbone, backbone.channels, shape.num_outputs, (mean, std))
