"""A run killed with SIGKILL again and again ends with the same bits as one that was never stopped.

Kill points are drawn from a fixed seed: between two steps, and before or after any fsync or rename of a checkpoint,
of the best weights or of the run's other files.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import torch

from snowball.storage import read_tensors
from snowball.training.checkpoint import newest_checkpoint

KEYS: dict[str, Any] = {
    "model": "mlp",
    "model.dropout": 0.2,  # draws from torch's own generator: its state has to come back
    "epochs": 3,
    "batch_size": 32,
    "accumulate": 2,
    "ema": 0.9,
    "augment.cutmix": 1.0,
    "schedule": "plateau",
    "preflight": False,
    "checkpoint_seconds": 0,
}
KILLS = 24


def _train(folder: str, kill_at: int, what: str) -> None:
    """In a child: begin or go on with the run, and die at the n-th step or the n-th fsync or rename."""
    from snowball.display import Display
    from snowball.training.train import train

    left = kill_at

    def count(kind: str) -> None:
        nonlocal left
        if kind == what:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Display):
        def advance(self, units: int = 1) -> None:
            super().advance(units)
            if units == 1:
                count("step")

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            count("write")
            result = function(*arguments, **keywords)
            count("write")
            return result

        return call

    os.fsync, os.replace = counted(os.fsync), counted(os.replace)
    path = Path(folder)
    begun = (path / "schema.json").is_file()
    train(
        None if begun else "digits",
        {} if begun else KEYS,
        output=None if begun else path,
        resume=path if begun else None,
        display=Killer(quiet=True),
    )


def _child(folder: Path, kill_at: int, what: str) -> int | None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        # the last is what an optimiser imports when it is made
        ["snowball.training.train", "snowball.evaluate.report", "snowball.kinds.image", "torch._dynamo"]
    )
    process = context.Process(target=_train, args=(str(folder), kill_at, what))
    process.start()
    process.join(120)
    return process.exitcode


def test_killed_runs_end_bit_identical(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _child(whole, -1, "never") == 0
    draw = random.Random(0)
    points = []
    while len(points) < KILLS:
        what = draw.choice(["step", "write"])
        kill_at = draw.randint(1, 5) if what == "step" else draw.randint(8, 36)  # a step writes 6 times
        exitcode = _child(killed, kill_at, what)
        if exitcode == 0:
            break
        assert exitcode == -signal.SIGKILL
        points.append((what, kill_at))
    assert len(points) >= 20, f"only {len(points)} kills before the run came to its end"
    assert _child(killed, -1, "never") in (0, 1)
    for name in ("model.safetensors", "last"):
        paths = [
            (folder / name) if name.endswith("s") else newest_checkpoint(folder / name) for folder in (whole, killed)
        ]
        first, second = (read_tensors(path)[0] for path in paths if path is not None)
        assert first.keys() == second.keys()
        for key, tensor in first.items():
            assert torch.equal(tensor, second[key]), f"{name}: {key} differs after {points}"
    assert not list(killed.rglob("*.tmp"))
