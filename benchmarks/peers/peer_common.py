"""What every peer shares: the command line, reading MNIST's idx files, peak memory and the JSON result line.

No framework is imported here, so that each peer decides what is loaded, and when.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import struct
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DEFAULT_DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"
EVAL_BATCH = 1000
PARAMETERS = 121_930
LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # well over 0: the machine was not quiet

Bytes = NDArray[np.uint8]


class Mnist(NamedTuple):
    """MNIST as stored: uint8 pixels (n, 28, 28) and uint8 labels (n,)."""

    train_x: Bytes
    train_y: Bytes
    test_x: Bytes
    test_y: Bytes


def parser(description: str | None, batch_size: int = 32) -> argparse.ArgumentParser:
    """The command line every peer has; a peer may add its own options."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with MNIST's four idx .gz files")
    p.add_argument("--batch-size", type=int, default=batch_size)
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=2, help="torch's threads; other engines take every core they see")
    p.add_argument("--max-steps", type=int, default=None, help="smoke run: train on the first N batches' examples only")
    return p


def read_idx(path: Path) -> Bytes:
    """One gzip-compressed idx file of unsigned bytes, as an array of its own shape."""
    raw = gzip.decompress(path.read_bytes())
    zero, kind, dims = struct.unpack(">HBB", raw[:4])
    if zero != 0 or kind != 8:
        raise ValueError(f"{path.name} is not an idx file of unsigned bytes")
    shape = struct.unpack(f">{dims}I", raw[4 : 4 + 4 * dims])
    return np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * dims).reshape(shape).copy()


def load_mnist(args: argparse.Namespace) -> Mnist:
    """All of MNIST, or with --max-steps only as many training examples as those steps take."""
    data = Mnist(
        read_idx(args.data / "train-images-idx3-ubyte.gz"),
        read_idx(args.data / "train-labels-idx1-ubyte.gz"),
        read_idx(args.data / "t10k-images-idx3-ubyte.gz"),
        read_idx(args.data / "t10k-labels-idx1-ubyte.gz"),
    )
    if args.max_steps is None:
        return data
    n = args.max_steps * args.batch_size
    return data._replace(train_x=data.train_x[:n].copy(), train_y=data.train_y[:n].copy())


def check_parameters(count: int) -> None:
    """Stop unless the network is the one that every peer trains."""
    if count != PARAMETERS:
        raise SystemExit(f"simple_cnn has {PARAMETERS} parameters, this model has {count}")


def peak_rss_mb() -> float:
    """This process's peak resident memory in MiB (its children's not counted).

    Linux's VmHWM is preferred: ru_maxrss of a started program can also count what its parent held when starting it.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def report(peer: str, packages: list[str], args: argparse.Namespace, **measured: Any) -> None:
    """Print the result as one JSON line, the last on standard output."""
    result: dict[str, Any] = {
        "peer": peer,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "batch_size": args.batch_size,
        "epochs": args.epochs,
        "seed": args.seed,
        "threads": args.threads,
        "max_steps": args.max_steps,
        "load_before": LOAD_BEFORE,
        **measured,
        "peak_rss_mb": peak_rss_mb(),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    print("\n" + json.dumps(result), flush=True)
