"""What is drawn at random anew: rows that are augmented, and the generators of a loader's workers."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..finding import Finding
from .evaluation import row_contents
from .lab import Lab
from .nested import leaves
from .program import without_workers

__all__ = ["is_augmented", "worker_seeds"]


def is_augmented(lab: Lab) -> bool:
    """Whether a row is another one each time it is drawn."""
    dataset = getattr(lab.program.train, "dataset", None)
    if isinstance(dataset, Sized) and hasattr(dataset, "__getitem__"):
        try:
            with lab.program.kept(seed=0):
                for row in range(min(8, len(dataset))):
                    draws = [[t.clone() for _, t in leaves(dataset[row][0])] for _ in range(4)]
                    if any(not torch.equal(a, b) for other in draws[1:] for a, b in zip(draws[0], other, strict=True)):
                        return True
        except Exception:
            return False
    with lab.program.kept(seed=1):
        again = set()
        for inputs, _ in lab.program.batches(without_workers(lab.program.train)):
            again |= set(row_contents(inputs))
            if len(again) > len(lab.train):
                break
    first = set(row_contents(lab.train.inputs))
    return len(first & again) < 0.5 * min(len(first), len(again))


def worker_seeds(lab: Lab) -> Iterator[Finding]:
    """Random draws that repeat: the same in each worker, or in each epoch."""
    loader = lab.program.train
    if not isinstance(loader, DataLoader):
        return
    dataset = loader.dataset
    if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__") or loader.batch_sampler is None:
        return
    if loader.num_workers > 0:
        probe = DataLoader(
            _Probe(dataset),
            batch_size=None,
            sampler=list(range(min(8, len(dataset)))),
            num_workers=2,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
        )
        with lab.program.kept(seed=0):
            first = list(probe)
            second = list(probe)
        by_worker: dict[int, dict[str, int]] = {}
        for worker, used, states in first:
            for name in used:
                by_worker.setdefault(worker, {}).setdefault(name, states[name])
        shared = (
            set.intersection(*(set(found.items()) for found in by_worker.values())) if len(by_worker) > 1 else set()
        )
        again: dict[str, int] = {}
        for worker, used, states in second:
            if worker == 0:
                for name in used:
                    again.setdefault(name, states[name])
        frozen = set(by_worker.get(0, {}).items()) & set(again.items())
        if shared:
            names = sorted(name for name, _ in shared)
            message = f"each worker draws the same random numbers ({', '.join(names)}): rows are augmented alike"
            yield Finding(
                "worker-seeds",
                "error",
                message,
                {"generators": names},
                "seed each worker with torch.initial_seed() in worker_init_fn",
            )
        elif frozen:
            names = sorted(name for name, _ in frozen)
            message = f"every epoch draws the same random numbers ({', '.join(names)}): augmentation repeats itself"
            yield Finding(
                "worker-seeds",
                "error",
                message,
                {"generators": names},
                "seed from torch.initial_seed(), not from a constant",
            )


class _Probe(Dataset[Any]):
    """In place of a row: the worker's number, the generators that the row drew from, and their states before."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> tuple[int, list[str], dict[str, int]]:
        info = torch.utils.data.get_worker_info()
        before = _states(self.dataset)
        self.dataset[row]
        after = _states(self.dataset)
        return (info.id if info is not None else 0), [name for name in before if before[name] != after[name]], before


def _states(dataset: Any) -> dict[str, int]:
    import random

    found = {
        "numpy.random": hash(np.random.get_state()[1].tobytes() + bytes(str(np.random.get_state()[2]), "ascii")),  # type: ignore[union-attr, index]
        "random": hash(random.getstate()),
        "torch": hash(torch.get_rng_state().numpy().tobytes()),
    }
    for holder, label in (
        (dataset, "dataset"),
        (getattr(dataset, "transform", None), "transform"),
        (getattr(dataset, "dataset", None), "dataset.dataset"),
    ):
        for name, value in getattr(holder, "__dict__", {}).items():
            if isinstance(value, np.random.Generator):
                found[f"{label}.{name}"] = hash(str(value.bit_generator.state))
            elif isinstance(value, np.random.RandomState):
                found[f"{label}.{name}"] = hash(str(value.get_state()[1].tobytes()) + str(value.get_state()[2]))  # type: ignore[union-attr, index]
            elif isinstance(value, random.Random):
                found[f"{label}.{name}"] = hash(value.getstate())
            elif isinstance(value, torch.Generator):
                found[f"{label}.{name}"] = hash(value.get_state().numpy().tobytes())
    return found
