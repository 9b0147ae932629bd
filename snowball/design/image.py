"""Networks for pictures. Shapes: B rows, C channels, H, W; every body maps (B, C, H, W) floats to (B, num_outputs)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..finding import BadInput, nearest
from .pilotnet import SMALLEST_SIDE, pilotnet_body

__all__ = ["NETWORKS", "ImageNetwork", "ImageShape", "PixelNetwork", "image_body", "network_lines", "smallest_side"]


@dataclass(frozen=True)
class ImageShape:
    """What a body is built for: C channels, H x W pixels, and how many numbers it gives for one picture."""

    channels: int
    height: int
    width: int
    num_outputs: int
    dropout: float = 0.0


class PixelNetwork(nn.Module):
    """A network that is given pixels in 0..255, (..., C, H, W), and standardises each channel itself."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        scale = 1 / torch.tensor(std)
        self.scale: Tensor
        self.offset: Tensor
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("offset", (-torch.tensor(mean) * scale)[:, None, None])

    def standardise(self, pixels: Tensor) -> Tensor:
        # Two plain kernels: addcmul with a broadcast takes three times as long on the CPU (measured 2026-11-24).
        return (pixels * self.scale).add_(self.offset)


class ImageNetwork(PixelNetwork):
    """`model(image=x)["logits"]`: (B, C, H, W) in 0..255 to (B, num_outputs)."""

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(mean, std)
        self.body = body

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.body(self.standardise(image))}


def linear(shape: ImageShape) -> nn.Module:
    """Softmax regression on pixels: the control every other network has to beat."""
    return nn.Sequential(nn.Flatten(), nn.Linear(shape.channels * shape.height * shape.width, shape.num_outputs))


def mlp(shape: ImageShape) -> nn.Module:
    """Two hidden layers of 256."""
    pixels = shape.channels * shape.height * shape.width
    hidden = [nn.Linear(pixels, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Dropout(shape.dropout), nn.Linear(256, shape.num_outputs))


def simple_cnn(shape: ImageShape) -> nn.Module:
    """Conv 32-3x3, ReLU, MaxPool, Conv 64-3x3, ReLU, MaxPool, Dense 64, ReLU, Dense: 121,930 parameters on MNIST.

    Pooling stands before the ReLU: the maximum of ReLUs is the ReLU of the maximum, values and gradients alike, and
    the ReLU then has a quarter of the work.
    """
    height, width = ((side - 2) // 2 for side in (shape.height, shape.width))
    height, width = ((side - 2) // 2 for side in (height, width))
    layers = [nn.Conv2d(shape.channels, 32, 3), nn.MaxPool2d(2), nn.ReLU()]
    layers += [nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()]
    layers += [nn.Linear(64 * height * width, 64), nn.ReLU(), nn.Dropout(shape.dropout)]
    return nn.Sequential(*layers, nn.Linear(64, shape.num_outputs))


def lenet(shape: ImageShape) -> nn.Module:
    """LeNet as Caffe ships it: Conv 20-5x5, MaxPool, Conv 50-5x5, MaxPool, Dense 500, ReLU, Dense."""
    height, width = ((side - 4) // 2 for side in (shape.height, shape.width))
    height, width = ((side - 4) // 2 for side in (height, width))
    layers = [nn.Conv2d(shape.channels, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten()]
    layers += [nn.Linear(50 * height * width, 500), nn.ReLU(), nn.Dropout(shape.dropout)]
    return nn.Sequential(*layers, nn.Linear(500, shape.num_outputs))


def alexnet(shape: ImageShape) -> nn.Module:
    """AlexNet with the two groups of the 2012 paper: 60,965,224 parameters at 227 x 227 x 3 and 1000 classes."""

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)  # section 3.3 of the paper

    def halve(side: int) -> int:
        return (side - 3) // 2 + 1

    height, width = (halve(halve(halve((side - 11) // 4 + 1))) for side in (shape.height, shape.width))
    dropout = shape.dropout or 0.5  # section 4.2
    features = [nn.Conv2d(shape.channels, 96, 11, 4), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)]
    features += [nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)]
    features += [nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()]
    features += [nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU()]
    features += [nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()]
    dense = [nn.Dropout(dropout), nn.Linear(256 * height * width, 4096), nn.ReLU()]
    dense += [nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, shape.num_outputs)]
    return nn.Sequential(*features, *dense)


def small_cnn(shape: ImageShape) -> nn.Module:
    """Pairs of 3x3 convolutions with BatchNorm, halving down to about 4 pixels, then the global average.

    The default for pictures up to 64 pixels: it takes any size and needs no tuning of the learning rate.
    """
    stages = max(1, min(4, round(math.log2(min(shape.height, shape.width) / 4)) + 1))
    layers: list[nn.Module] = []
    channels, width = shape.channels, 32
    for stage in range(stages):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        if stage < stages - 1:
            layers.append(nn.MaxPool2d(2))
            width *= 2
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(shape.dropout)]
    return nn.Sequential(*layers, *pool, nn.Linear(channels, shape.num_outputs))


def pilotnet(shape: ImageShape) -> nn.Module:
    """PilotNet: YUV, five convolutions and three dense layers, from a road to a steering wheel (Bojarski, 2016)."""
    return pilotnet_body(shape.channels, shape.height, shape.width, shape.num_outputs, shape.dropout)


def vit_tiny(shape: ImageShape) -> nn.Module:
    """ViT-Tiny (192 wide, 12 layers, 3 heads) in 7 x 7 to 14 x 14 patches; sides are padded to whole ones."""
    side = min(shape.height, shape.width)
    patch = 16 if side >= 112 else max(1, side // 7)
    height, width = (math.ceil(s / patch) * patch for s in (shape.height, shape.width))
    body = _timm(
        "vit_tiny_patch16_224", replace(shape, height=height, width=width), img_size=(height, width), patch_size=patch
    )
    padding = nn.ZeroPad2d((0, width - shape.width, 0, height - shape.height))
    return nn.Sequential(padding, body) if (height, width) != (shape.height, shape.width) else body


def _timm(name: str, shape: ImageShape, **options: Any) -> nn.Module:
    import timm  # 4 to 10 s to import: only for its own networks

    if not timm.is_model(name):
        close = nearest(name.partition(".")[0], timm.list_models())
        raise BadInput(f"model timm:{name}: timm {timm.__version__} has no such network{close}")
    try:
        body = timm.create_model(
            name,
            pretrained=False,
            num_classes=shape.num_outputs,
            in_chans=shape.channels,
            drop_rate=shape.dropout,
            **options,
        )
        body.eval()(torch.zeros(1, shape.channels, shape.height, shape.width))
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise BadInput(
            f"model {name} does not take {shape.channels} x {shape.height} x {shape.width} pictures"
            f" ({str(error).splitlines()[0]}); set image.size, e.g. image.size=224"
        ) from error
    assert isinstance(body, nn.Module)
    return body.train()


NETWORKS: Mapping[str, Callable[[ImageShape], nn.Module]] = {
    "linear": linear,
    "mlp": mlp,
    "simple_cnn": simple_cnn,
    "small_cnn": small_cnn,
    "lenet": lenet,
    "alexnet": alexnet,
    "pilotnet": pilotnet,
    "vit_tiny": vit_tiny,
    **{name: partial(_timm, name) for name in ("resnet18", "resnet34", "resnet50", "resnet101")},
}
_SMALLEST = {"simple_cnn": 10, "lenet": 16, "alexnet": 63, "pilotnet": SMALLEST_SIDE}


def smallest_side(name: str) -> int:
    """The smallest picture side the network takes."""
    return _SMALLEST.get(name, 1)


def image_body(name: str, shape: ImageShape) -> nn.Module:
    """Build a body by name: one of NETWORKS, or `timm:NAME` for any network of timm.

    >>> sum(p.numel() for p in image_body("simple_cnn", ImageShape(1, 28, 28, 10)).parameters())
    121930
    """
    if name.startswith("timm:"):
        return _timm(name.removeprefix("timm:"), shape)
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise BadInput(f"model {name!r} is not one of {known}, or timm:NAME{nearest(name, NETWORKS)}")
    side = smallest_side(name)
    if min(shape.height, shape.width) < side:
        raise BadInput(
            f"model {name} takes pictures of {side} x {side} pixels or more, these are {shape.height} x {shape.width}:"
            f" set image.size={side} or more"
        )
    return NETWORKS[name](shape)


def network_lines() -> dict[str, str]:
    """Name and one line of every network, for `snowball models`."""
    lines = {
        name: "A residual network, from timm." if isinstance(builder, partial) else str(builder.__doc__).splitlines()[0]
        for name, builder in NETWORKS.items()
    }
    return {**lines, "timm:NAME": "any network of timm: docs/recipe.md"}
