"""What is drawn at random anew: rows that are augmented, and the generators of a loader's workers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from ..finding import Finding
from .lab import MAX_ROWS, Lab
from .nested import leaves
from .program import without_workers
from .rows import lighter
from .sample import row_contents
from .split import rows_table

__all__ = ["drawn_rarer", "is_augmented", "worker_seeds"]

USUAL = SequentialSampler, RandomSampler, SubsetRandomSampler  # each row as often as any other


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
        except Exception:  # the program's own data set, of which rows may be of any make
            return False
    with lab.program.kept(seed=1):
        again = set()
        for inputs, _ in lab.program.batches(without_workers(lab.program.train)):
            again |= set(row_contents(inputs))
            if len(again) > len(lab.train):
                break
    first = set(row_contents(lab.train.inputs))
    return len(first & again) < 0.5 * min(len(first), len(again))


def drawn_rarer(lab: Lab) -> Iterator[Finding]:
    """A sampler that draws a rare class even more rarely than the data set holds it."""
    loader, given = lab.program.train, rows_table(lab, "train").y
    if not isinstance(loader, DataLoader) or isinstance(loader.sampler, USUAL) or given is None:
        return
    dataset = loader.dataset
    if rows_table(lab, "train").numbers or not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__"):
        return
    with lab.program.kept(seed=0):
        places = range(0, len(dataset), max(1, len(dataset) // MAX_ROWS))
        answers = [torch.as_tensor(dataset[place][1]) for place in places]
    if any(answer.numel() != 1 for answer in answers):
        return
    held = np.array([int(answer) for answer in answers])
    if held.min() < 0 or not set(np.unique(given)) <= set(np.unique(held)):
        return
    if isinstance(loader.sampler, WeightedRandomSampler) and len(loader.sampler.weights) == len(dataset):
        weights = np.asarray(loader.sampler.weights)[list(places)]
        each = {int(label): float(weights[held == label].mean()) for label in np.unique(held)}
        found = lighter({int(label): int((held == label).sum()) for label in each}, each)
        if found is not None:
            label, common = found
            message = (
                f"the sampler weighs class {label} {each[label] / each[common]:.2g} times as much as class {common}"
            )
            fix = "weigh each row by one over the number of rows of its class"
            evidence = {"weights": each, "rare": label, "common": common}
            yield Finding("class-imbalance", "error", f"{message}, which has more rows", evidence, fix)
            return
    width = int(held.max()) + 1
    there, drawn = (np.bincount(labels, minlength=width) / len(labels) for labels in (held, given))
    rare = np.flatnonzero((there > 0) & (there < 1 / np.count_nonzero(there)))
    for label in rare[np.argsort(drawn[rare] / there[rare])][:1]:
        least, most = there[label], max(drawn[label], 1 / len(given))  # beyond what chance does to counts
        if most + 3 * (most / len(given)) ** 0.5 < 0.5 * (least - 3 * (least / len(held)) ** 0.5):
            message = (
                f"class {label} is {there[label]:.1%} of the data set and {drawn[label]:.1%} of what the sampler draws"
            )
            evidence = {"class": int(label), "held": float(there[label]), "drawn": float(drawn[label])}
            fix = "weigh each row by one over the number of rows of its class"
            yield Finding("class-imbalance", "error", message, evidence, fix)


def worker_seeds(lab: Lab) -> Iterator[Finding]:
    """Random draws that repeat: the same in each worker, or in each epoch."""
    loader = lab.program.train
    if not isinstance(loader, DataLoader):
        return
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        yield from _same_streams(lab, loader)
        return
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


def _same_streams(lab: Lab, loader: DataLoader[Any]) -> Iterator[Finding]:
    """Workers that read one stream have to share it out: the first batches of each are compared."""
    workers = loader.num_workers
    if workers < 2:
        return
    with lab.program.kept(seed=0):
        given = [set(row_contents(inputs)) for inputs, _ in islice(lab.program.batches(loader), 2 * workers)]
    if len(given) < 2 * workers:
        return
    streams = [given[worker] | given[worker + workers] for worker in range(workers)]  # batches come in turn
    if all(stream == streams[0] for stream in streams):
        message = f"each of {workers} workers gives the same rows"
        fix = "draw by torch.initial_seed() or get_worker_info().seed, or share the rows out by get_worker_info().id"
        yield Finding("worker-seeds", "error", message, {"workers": workers}, fix)


class _Probe(Dataset[Any]):
    """In place of a row: the worker's number, the generators that the row drew from, and their states before."""

    def __init__(self, dataset: Any) -> None:
        self.__dict__["_probed"] = dataset

    def __len__(self) -> int:
        return len(self._probed)

    def __getattr__(self, name: str) -> Any:
        if name == "_probed":  # asked for while a worker is handed a copy
            raise AttributeError(name)
        return getattr(self._probed, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """A `worker_init_fn` that seeds the data set's own generator reaches it."""
        setattr(self._probed, name, value)

    def __getitem__(self, row: int) -> tuple[int, list[str], dict[str, int]]:
        info = torch.utils.data.get_worker_info()
        before = _states(self._probed)
        self._probed[row]
        after = _states(self._probed)
        return (info.id if info is not None else 0), [name for name in before if before[name] != after[name]], before


def _states(dataset: Any) -> dict[str, int]:
    """Each generator that a row may draw from, with a hash of its state."""
    found = {"torch": _state_of(torch.get_rng_state())}
    found |= {"numpy.random": _state_of(np.random.get_state()), "random": _state_of(random.getstate())}
    holders = {"dataset": dataset}
    holders |= {f"dataset.{name}": getattr(dataset, name, None) for name in ("transform", "dataset")}
    for label, holder in holders.items():
        for name, value in getattr(holder, "__dict__", {}).items():
            state = getattr(value, "bit_generator", value)
            for read in ("get_state", "getstate"):
                if isinstance(value, np.random.RandomState | random.Random | torch.Generator) and hasattr(value, read):
                    found[f"{label}.{name}"] = _state_of(getattr(value, read)())
            if isinstance(value, np.random.Generator):
                found[f"{label}.{name}"] = _state_of(state.state)
    return found


def _state_of(state: Any) -> int:
    if isinstance(state, torch.Tensor | np.ndarray):
        return hash(bytes(np.asarray(state)))
    if isinstance(state, dict):
        return hash(tuple((key, _state_of(value)) for key, value in state.items()))
    return hash(tuple(map(_state_of, state))) if isinstance(state, tuple | list) else hash(state)
