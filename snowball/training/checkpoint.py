"""Checkpoints: one safetensors file each, whole or absent, the newest two kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from ..finding import BadInput
from ..storage import read_tensors, write_tensors
from .loop import Progress, Trainer

__all__ = ["load_checkpoint", "newest_checkpoint", "save_checkpoint"]

KEPT = 2  # the newest, and the one before it in case the disk damages the newest


def save_checkpoint(folder: Path, trainer: Trainer) -> None:
    """Write `step-NUMBER.safetensors` and drop the older ones."""
    folder.mkdir(exist_ok=True)
    tensors = trainer.tensors()
    write_tensors(folder / f"step-{trainer.step:09d}.safetensors", tensors, asdict(trainer.progress))
    for old in _checkpoints(folder)[:-KEPT]:
        old.unlink()


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def newest_checkpoint(folder: Path) -> Path | None:
    return next(reversed(_checkpoints(folder)), None)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """Tensors and progress of a checkpoint. A damaged one is refused by name, and the one before it is offered."""
    try:
        tensors, state = read_tensors(path)
        return tensors, Progress(**state)
    except (BadInput, TypeError) as error:
        earlier = [other for other in _checkpoints(path.parent) if other.name < path.name]
        offer = f"; the last good one may be {earlier[-1]}: snowball train resume={earlier[-1]}" if earlier else ""
        raise BadInput(f"{error}{offer}") from error
