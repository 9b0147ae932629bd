"""PyTorch's own files of weights, .pt and .pth: unpickled by torch's allow-list of types, in a process of its own.

    python -m snowball.design.torch_file IN OUT

The process has no sockets, limited memory and limited time; what it leaves is a safetensors file. There is no fallback
to a loader that executes what a file says.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..finding import BadInput

__all__ = ["SUFFIXES", "read_torch_file"]

SUFFIXES = frozenset((".pt", ".pth", ".th", ".bin", ".ckpt"))
SECONDS = 120
NESTED = ("state_dict", "model_state_dict", "model", "network", "weights", "params")  # where programs keep the weights
ROOM = 6 * 2**30  # address space beside the file's own: torch alone maps several GiB


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """name -> tensor. Raises BadInput with the reason; see NESTED for where in a checkpoint they are looked for."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tensors.safetensors"
        command = [sys.executable, "-m", __name__, str(path), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise BadInput(f"{path}: not read within {SECONDS} s") from None
        if done.returncode or not out.is_file():
            reason = done.stderr.strip().splitlines()[-1:] or ["its reader was stopped"]
            raise BadInput(f"{path}: {reason[0][:300]}")
        return {name: tensor.clone() for name, tensor in load_file(out).items()}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes make the unpickler raise nearly anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(f"not a file of plain tensors ({reason[0][:200]}); save it as safetensors") from error
    for key in NESTED:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping):
        raise BadInput(f"a {type(held).__name__}, not a mapping of names to tensors")
    tensors = {str(name): value for name, value in held.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadInput(f"no tensors in it; it holds {', '.join(str(key) for key in list(held)[:5])}")
    return {name: value.detach().contiguous().clone() for name, value in tensors.items()}


def _main(source: Path, out: Path) -> int:
    import resource
    import socket

    from safetensors.torch import save_file

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no network here")

    socket.socket = refuse  # type: ignore[misc,assignment]
    room = ROOM + 4 * source.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    try:
        save_file(_read(source), out)
    except (BadInput, OSError, MemoryError) as error:
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
