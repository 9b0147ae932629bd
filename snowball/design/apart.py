"""Files that a library of C or an unpickler parses, read in a process of their own.

The module that reads has a function `write(source, out)`, which leaves a safetensors file, or raises BadInput. The
process has no sockets, limited memory and limited time: what crashes or hangs there ends there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..finding import BadInput

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["read_apart"]

# With the places to import from that this process has: `-m` would add the folder where the command runs, in which
# somebody's network may lie beside somebody's h5py.py.
START = "import sys; sys.path[:] = {path!r}; from {name} import main; sys.exit(main(*sys.argv[1:]))"
WAIT = 5  # seconds on the clock for one of the processor: other programs may have the machine


def read_apart(module: str, path: Path, seconds: int, room: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """name -> tensor, and the texts beside them, of a file that `module` reads. Raises BadInput with the reason.

    `seconds` of processor time and `room` bytes of address space are what the reading may take.
    """
    from safetensors import safe_open

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "tensors.safetensors"
        start = START.format(path=sys.path, name=__name__)
        command = [sys.executable, "-P", "-c", start, module, str(path), str(out), str(seconds), str(room)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * WAIT)
        except subprocess.TimeoutExpired:
            raise BadInput(f"{path}: not read within {seconds * WAIT} s") from None
        if done.returncode or not out.is_file():
            reason = done.stderr.strip().splitlines()[-1:] or ["its reader was stopped: damaged?"]
            raise BadInput(f"{path}: {reason[0][:300]}")
        with safe_open(out, "pt") as held:
            return {name: held.get_tensor(name).clone() for name in held.keys()}, held.metadata() or {}  # noqa: SIM118 (not a dict)


def main(module: str, source: str, out: str, seconds: str, room: str) -> int:
    """What the process does, from the words that it is started with; its exit code."""
    import resource
    import socket

    class Refused(socket.socket):  # a class still, since Python's ssl, which torch imports, derives from it
        def __init__(self, *_: Any, **__: Any) -> None:
            raise PermissionError("no network here")

    socket.socket = Refused  # type: ignore[misc]  # a class is replaced, in this process alone
    resource.setrlimit(resource.RLIMIT_AS, (int(room), int(room)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import_module(module).write(Path(source), Path(out))
    except (BadInput, OSError, MemoryError) as error:
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 2
    return 0
