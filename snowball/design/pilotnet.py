"""PilotNet, from "End to End Learning for Self-Driving Cars" (Bojarski et al., 2016). Shapes: B, C, H, W."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SMALLEST_SIDE", "pilotnet_body"]

SMALLEST_SIDE = 61  # of a picture that leaves one pixel behind five convolutions without padding
_CONVOLUTIONS = ((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))  # channels, kernel, stride
_DENSE = (100, 50, 10)
# ITU-R BT.601: brightness, and the two differences of colour from it.
_YUV = ((0.299, 0.587, 0.114), (-0.147, -0.289, 0.436), (0.615, -0.515, -0.1))


class _Yuv(nn.Module):
    """(B, 3, H, W) from RGB to YUV; the weights are fixed, as in the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix: Tensor
        self.register_buffer("matrix", torch.tensor(_YUV)[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        return F.conv2d(image, self.matrix)


def pilotnet_body(channels: int, height: int, width: int, num_outputs: int, dropout: float = 0.0) -> nn.Module:
    """(B, C, H, W) to (B, num_outputs); 252,219 parameters at 66 x 200, as the paper counts 250 thousand.

    The paper does not say which nonlinearity: ELU, whose units cannot die in a dense layer of ten.

    >>> sum(p.numel() for p in pilotnet_body(3, 66, 200, 1).parameters())
    252219
    """
    layers: list[nn.Module] = [_Yuv()] if channels == 3 else []
    for wide, kernel, stride in _CONVOLUTIONS:
        layers += [nn.Conv2d(channels, wide, kernel, stride), nn.ELU()]
        channels, height, width = wide, (height - kernel) // stride + 1, (width - kernel) // stride + 1
    layers.append(nn.Flatten())
    features = channels * height * width
    for hidden in _DENSE:
        layers += [nn.Dropout(dropout)] if dropout else []
        layers += [nn.Linear(features, hidden), nn.ELU()]
        features = hidden
    return nn.Sequential(*layers, nn.Linear(features, num_outputs))
