"""Weights: a network's tensors as a file, whole or in fewer bits. Shapes: R rows, the first dimension of a matrix.

`float16` halves a file, to about three decimals. `int8` quarters it: each row of a matrix or a kernel is a scale times
whole numbers from -127 to 127 (symmetric, per output channel: Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018). Reading gives float32 either way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .finding import BadInput
from .storage import read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Form", "read_weights", "write_weights"]

Form = Literal["int8", "float16"]
SCALE = "scale of "  # before the name of the tensor: no parameter's name holds a space
HALF = 65504.0  # the largest number of float16


def write_weights(path: Path, tensors: Mapping[str, Tensor], form: Form | None = None, of: Collection[str] = ()) -> int:
    """Write tensors, of which those named in `of` take the form where they can; returns how many numbers did."""
    kept: dict[str, Tensor] = {}
    forms: dict[str, str] = {}
    count = 0
    for name, tensor in tensors.items():
        small = _small(tensor, form) if name in of and form is not None and tensor.is_floating_point() else None
        if small is None or form is None:
            kept[name] = tensor
            continue
        kept[name] = small[0]
        if small[1] is not None:
            kept[SCALE + name] = small[1]
        forms[name] = form
        count += tensor.numel()
    write_tensors(path, kept, {"forms": forms} if forms else None)
    return count


def _small(tensor: Tensor, form: Form) -> tuple[Tensor, Tensor | None] | None:
    """The tensor in that form with its scales (R, 1, ...); None where it does not fit."""
    import torch

    if not bool(torch.isfinite(tensor).all()):
        return None
    if form == "float16":
        return (tensor.half(), None) if float(tensor.abs().max()) <= HALF else None
    if tensor.dim() < 2:  # biases and the like: few numbers, each of which matters
        return None
    scale = tensor.float().abs().amax(tuple(range(1, tensor.dim())), keepdim=True).clamp(min=1e-30) / 127
    return (tensor / scale).round().to(torch.int8), scale


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a file that `write_weights` wrote, in float32 where they were in fewer bits. Raises BadInput."""
    tensors, state = read_tensors(path)
    for name, form in state.get("forms", {}).items():
        try:
            small = tensors[name].float()
            tensors[name] = small * tensors.pop(SCALE + name) if form == "int8" else small
        except (KeyError, RuntimeError) as error:
            raise BadInput(f"{path}: {name!r} is not what its header says ({error})") from error
    return tensors
