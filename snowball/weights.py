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


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], form: Form | None = None, of: Collection[str] = ()
) -> None:
    """Write tensors, of which those named in `of` take the form, where they can."""
    kept, forms = dict(tensors), dict[str, str]()
    for name, tensor in tensors.items():
        small = _small(tensor, form) if form is not None and name in of else ()
        if small:
            kept |= zip((name, SCALE + name), small, strict=False)  # float16 has no scales
            forms[name] = str(form)
    write_tensors(path, kept, {"forms": forms} if forms else None)


def _small(tensor: Tensor, form: Form) -> tuple[Tensor, ...]:
    """The tensor in that form, and its scales (R, 1, ...) where it has some; nothing where it does not fit."""
    import torch

    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        return ()
    if form == "float16":
        return (tensor.half(),) if float(tensor.abs().max()) <= HALF else ()
    if tensor.dim() < 2:  # biases and the like: few numbers, each of which matters
        return ()
    scale = tensor.float().abs().amax(tuple(range(1, tensor.dim())), keepdim=True).clamp(min=1e-30) / 127
    return (tensor / scale).round().to(torch.int8), scale


def read_weights(path: Path) -> dict[str, Any]:
    """The tensors of a file that `write_weights` wrote, in float32 where they were in fewer bits. Raises BadInput."""
    tensors, state = read_tensors(path)
    for name, form in state.get("forms", {}).items():
        scale = tensors.pop(SCALE + name, None)
        small = tensors.get(name)
        fits = small is not None and (form != "int8" or (scale is not None and scale.shape == _scales(small)))
        if small is None or not fits:  # scales of another shape could make a small file a huge tensor
            raise BadInput(f"{path}: {name!r} is not what its header says")
        tensors[name] = small.float() if scale is None else small.float() * scale
    return tensors


def _scales(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.shape[:1], *[1] * (tensor.dim() - 1))
