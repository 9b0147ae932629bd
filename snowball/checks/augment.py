"""Augmentation that turns inputs and leaves their targets as they were."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sized
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..finding import Finding
from .experiment import CLEAR, Change
from .lab import Lab
from .nested import leaves
from .program import generators_state, without_workers

__all__ = ["undone"]

LOOKED = 24  # rows that are drawn several times each
DRAWS = 8
WAYS = 4  # that rows come, as by two mirrors
ALIKE = 0.95  # the correlation of a row with one that is moved: the rest is noise, or what came in at the border
SHORTEST = 16  # places along an axis below which rows that are not moved may be alike by chance
MOVED = "moved"
NEAREST = 2  # random states by which moved rows are learned from
LEAST = 0.02  # of all there is to learn: what is right to turn makes a short training a little worse too


def undone(lab: Lab) -> Iterator[Finding]:
    """Rows that come mirrored, turned, negated or moved at random with the same target: the same training without.

    All rows are read from the same random state, so that they come one way, and then another. An error is where the
    program learns clearly more so. Targets that are turned as well may be turned wrongly, as where a mirrored field
    keeps the signs of its vectors: there the gain has to be CLEAR.
    """
    loader = without_workers(lab.program.train)
    if not isinstance(loader, DataLoader) or not isinstance(loader.dataset, Sized) or loader.batch_sampler is None:
        return
    if not hasattr(loader.dataset, "__getitem__"):
        return
    turn, seeds, along = _turns(lab, loader)
    if not turn or lab.own.learned() > 1 - 2 * LEAST or lab.own.cut:
        return
    for seed in seeds:
        change = Change(f"all rows read from random state {seed}", batches=partial(_batches, loader, seed))
        other = lab.outcome(change)
        gain = lab.own.gain(other)
        if gain > CLEAR or (not along and lab.own.clears(other, LEAST)):
            target = "a target that is turned otherwise" if along else "the same target"
            message = (
                f"rows come {turn} at random, with {target}; where all come one way the program learns {gain:.0%} more"
                " of what there is"
            )
            fix = "turn the target as its input is turned, signs and places and all, or leave that out"
            yield Finding("augment-target", "error", message, {"turn": turn, "gain_without": gain}, fix)
            return


def _turns(lab: Lab, loader: DataLoader[Any]) -> tuple[str, tuple[int, ...], bool]:
    """By what rows come turned, a random state for each way they come, and whether their targets move along."""
    assert isinstance(loader.dataset, Sized)  # the caller asked
    rows = min(LOOKED, len(loader.dataset))
    try:
        with lab.program.kept():
            draws = [_copied(_read(loader, range(rows), seed)) for seed in range(DRAWS)]
    except Exception:  # the program's own data set, of which rows may be of any make
        return "", (), False
    ways: dict[str, int] = {}
    places: dict[int, list[int]] = {}  # of a random state, how far its rows are moved from those of state 0
    along = False
    for row in range(rows):
        inputs, target = draws[0][row]
        for seed in range(1, DRAWS):
            other, its_target = draws[seed][row]
            pairs = list(zip(inputs, other, strict=True))
            found = [name for pair in pairs if (name := _turned(*pair))]
            if not found and (place := next(filter(None, (_moved(*pair, target, its_target) for pair in pairs)), None)):
                found = [MOVED]
                places.setdefault(seed, place)
            if found:
                along |= any(not torch.equal(one, two) for one, two in zip(target, its_target, strict=True))
                ways.setdefault(found[0], seed)
    if not ways:
        return "", (), False
    if next(iter(ways)) == MOVED:
        return MOVED, _least_moved(places), along
    return next(iter(ways)), (0, *list(ways.values())[: WAYS - 1]), along


def _copied(rows: list[Any]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Inputs and targets of rows as tensors of their own."""
    found = []
    for inputs, target in rows:
        answers = [t.clone() for _, t in leaves(target)] or [torch.as_tensor(target).clone()]
        found.append(([t.clone() for _, t in leaves(inputs)], answers))
    return found


def _turned(one: Tensor, two: Tensor) -> str:
    """How a row was turned into another; nothing where it was not, or looks the same either way."""
    if one.shape != two.shape or one.dim() == 0 or not one.is_floating_point() or torch.equal(one, two):
        return ""
    ways: dict[str, Callable[[Tensor], Tensor]] = {"negated": torch.neg}
    ways |= {f"mirrored along axis {axis}": partial(torch.flip, dims=[axis]) for axis in range(one.dim())}
    if one.dim() > 1:
        ways["turned by 180 degrees"] = partial(torch.flip, dims=[-2, -1])
        if one.shape[-1] == one.shape[-2]:
            ways |= {f"turned by {90 * n} degrees": partial(torch.rot90, k=n, dims=[-2, -1]) for n in (1, 3)}
            ways["transposed"] = partial(torch.transpose, dim0=-2, dim1=-1)
    return next((name for name, way in ways.items() if torch.equal(way(one), two)), "")


def _moved(one: Tensor, two: Tensor, target: list[Tensor], its_target: list[Tensor]) -> list[int] | None:
    """By how much a row was moved along each axis into another whose target, place by place, was not moved so."""
    if one.shape != two.shape or not one.is_floating_point() or torch.equal(one, two):
        return None
    dense = [(t, its) for t, its in zip(target, its_target, strict=True) if t.shape == its.shape]
    known = {side for t, _ in dense for side in t.shape if side >= SHORTEST}
    axes = [axis for axis, side in enumerate(one.shape) if side in known]
    if not axes:
        return None
    first, second = (t.double() - t.double().mean(axes, keepdim=True) for t in (one, two))
    size = float(first.norm() * second.norm())
    spectrum = torch.fft.fftn(second, dim=axes) * torch.fft.fftn(first, dim=axes).conj()
    fits = torch.fft.ifftn(spectrum, dim=axes).real
    fits = fits.sum([axis for axis in range(one.dim()) if axis not in axes]) if len(axes) < one.dim() else fits
    place = [int(at) for at in torch.unravel_index(fits.argmax(), fits.shape)]
    if not any(place) or size == 0 or float(fits.max()) < ALIKE * size:
        return None
    for t, its in dense:
        where = [axis for axis, side in enumerate(t.shape) if side >= SHORTEST][-len(axes) :]
        if len(where) < len(axes) or torch.equal(t.roll(place, where), its):
            return None
    sides = [one.shape[axis] for axis in axes]
    return [at - side if 2 * at > side else at for at, side in zip(place, sides, strict=True)]


def _least_moved(places: dict[int, list[int]]) -> tuple[int, ...]:
    """The random states whose rows are nearest to the middle of all: moved to either side, these are moved least."""
    known = {0: [0] * len(next(iter(places.values()))), **places}
    middle = [statistics.median(axis) for axis in zip(*known.values(), strict=True)]
    apart = {
        seed: sum(abs(at - there) for at, there in zip(at_all, middle, strict=True)) for seed, at_all in known.items()
    }
    return tuple(sorted(known, key=apart.__getitem__)[:NEAREST])


def _batches(loader: DataLoader[Any], seed: int) -> Iterator[Any]:
    """An epoch of the loader's batches, of which each row is read from the same random state."""
    for places in loader.batch_sampler or ():
        yield loader.collate_fn(_read(loader, places, seed))


def _read(loader: DataLoader[Any], places: Any, seed: int) -> list[Any]:
    """Rows of the data set, each read from one random state; that of the process is put back."""
    held = torch.get_rng_state(), np.random.get_state(), random.getstate()
    set_own = generators_state(loader, seed)
    rows = []
    for place in places:
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which takes 1 ms to tell every device
        np.random.seed(seed)
        random.seed(seed)
        set_own()
        rows.append(loader.dataset[place])
    torch.set_rng_state(held[0])
    np.random.set_state(held[1])
    random.setstate(held[2])
    return rows
