"""Windows that slide over pictures: kernel, strides, dilations and padding of convolutions and poolings."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch.nn.functional as F
from torch import Tensor

from ..registry import Spec

__all__ = ["Window"]

MAX_SIDE = 100_000
MAX_PADDING = 2**26  # numbers around one picture, which no value of the graph counts


class Window:
    """What a node says of its windows. `even` is the padding where it is the same on both sides, else None."""

    def __init__(self, spec: Spec, kernel: Sequence[int]) -> None:
        said = spec.numbers("kernel_shape", 1, MAX_SIDE)
        self.kernel = tuple(kernel or said)
        dims = len(self.kernel)
        if not dims or (said and said != list(self.kernel)):
            raise spec.node.wrong(f"kernel_shape is {said}, its kernels are {list(self.kernel)}")
        self.strides = tuple(spec.numbers("strides", 1, MAX_SIDE)) or (1,) * dims
        self.dilations = tuple(spec.numbers("dilations", 1, MAX_SIDE)) or (1,) * dims
        pads = spec.numbers("pads", 0, MAX_SIDE) or [0] * (2 * dims)
        if len(self.strides) != dims or len(self.dilations) != dims or len(pads) != 2 * dims:
            raise spec.node.wrong(f"strides, dilations and pads are not those of a window of {dims} sides")
        how = spec.word("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
        if how.startswith("SAME"):
            pads = self._same(spec.tensor(0).shape[2:], before=how == "SAME_LOWER")
        self.begins, self.ends = pads[:dims], pads[dims:]

    def _same(self, sides: Sequence[int], *, before: bool) -> list[int]:
        """Padding with which each stride gives one number, the odd one before or behind."""
        begins, ends = [], []
        for side, kernel, stride, dilation in zip(sides, self.kernel, self.strides, self.dilations, strict=True):
            needed = max(0, (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side)
            small, large = needed // 2, needed - needed // 2
            begins.append(large if before else small)
            ends.append(small if before else large)
        return begins + ends

    @property
    def even(self) -> tuple[int, ...] | None:
        return tuple(self.begins) if self.begins == self.ends else None

    def padded(self, x: Tensor, value: float = 0.0) -> Tensor:
        """With the padding around it."""
        pairs = list(zip(self.begins, self.ends, strict=True))
        sides = [side + sum(pair) for side, pair in zip(x.shape[2:], pairs, strict=True)]
        if x.shape[1] * (prod(sides) - prod(x.shape[2:])) > MAX_PADDING:
            raise ValueError(f"pads make it {' x '.join(map(str, sides))}")
        return F.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)
