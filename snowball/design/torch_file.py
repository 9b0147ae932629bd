"""PyTorch's own files of weights, .pt and .pth: unpickled by torch's allow-list of types, in a process of its own.

There is no fallback to a loader that executes what a file says.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..finding import BadInput, brief
from .apart import read_apart

__all__ = ["SUFFIXES", "read_torch_file", "write"]

SUFFIXES = frozenset((".pt", ".pth", ".th", ".bin", ".ckpt"))
SECONDS = 120
NESTED = ("state_dict", "model_state_dict", "model", "network", "weights", "params")  # where programs keep the weights
MOST = 4  # times a file's size: names may share their numbers, as tied weights do
ROOM = 6 * 2**30  # address space beside the file's own: torch alone maps several GiB


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """name -> tensor. Raises BadInput with the reason; see NESTED for where in a checkpoint they are looked for."""
    return read_apart(__name__, path, SECONDS, ROOM + MOST * path.stat().st_size)[0]


def write(source: Path, out: Path) -> None:
    """The tensors of one file as another that needs no unpickling; called in a process of its own."""
    from safetensors.torch import save_file

    save_file(_read(source), out)


def _read(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    try:
        if _is_compressed(path):
            raise BadInput("its entries are compressed, which PyTorch never does: a bomb?")
        held = torch.load(path, map_location="cpu", weights_only=True)
    except BadInput:
        raise
    except Exception as error:  # hostile bytes make the unpickler raise nearly anything
        # torch's first line advises to load it without the list of types: what was refused stands further below
        refused = [
            line.strip() for line in str(error).splitlines() if "GLOBAL" in line or line.startswith("Unsupported")
        ]
        reason = (refused or [brief(error)])[0].rstrip(".")
        raise BadInput(f"not a file of plain tensors ({reason[:200]}); save it as safetensors") from error
    for key in NESTED:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping):
        raise BadInput(f"a {type(held).__name__}, not a mapping of names to tensors")
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadInput(f"no tensors in it; it holds {', '.join(str(key) for key in list(held)[:5])}")
    claimed = sum(value.numel() * value.element_size() for value in tensors.values())
    if claimed > MOST * size:
        raise BadInput(f"its tensors claim {claimed:,} bytes, and the file has {size:,}")
    return {name: value.detach().contiguous().clone() for name, value in tensors.items()}


def _is_compressed(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
