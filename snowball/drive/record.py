"""Recording: what the camera saw and what the scripted driver wanted, as a folder that `snowball train` reads.

While it is recorded the car is pushed off its line now and then: what is carried out is another wheel than what is
written down, so that the recording shows how to come back, which a perfect lap never does (Ross et al., 2011, DAgger;
Laskey et al., 2017, DART).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from ..rng import mix
from .circuit import Circuit
from .expert import pedals, pursue

__all__ = ["HEADER", "Pushes", "record_lap"]

HEADER = "image,steering,speed,lap"
PICTURES = "IMG"
OFTEN = 0.04  # chance of a push beginning at a decision
LONG = (3, 9)  # decisions that a push lasts


class Pushes:
    """Offsets of the wheel: mostly none, sometimes the same one for a while; fixed by the seed."""

    def __init__(self, most: float, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(mix(seed, 7)))
        self._most = most
        self._left = 0
        self._offset = 0.0

    def __call__(self) -> float:
        if self._left:
            self._left -= 1
            return self._offset
        if self._random.random() < OFTEN:
            self._left = int(self._random.integers(*LONG))
            self._offset = float(self._random.uniform(-self._most, self._most))
            return self._offset
        return 0.0


def record_lap(folder: Path | None, seed: int, *, push: float, cruise: float, limit: int) -> tuple[float, int]:
    """Drive one lap by script, and add its frames to the folder, if any; the share of tiles visited, and the frames."""
    circuit, pushes = Circuit(seed), Pushes(push, seed)
    rows: list[tuple[str, float, float, int]] = []
    if folder is not None:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    while not circuit.ended and circuit.steps < limit:
        wheel = pursue(circuit)
        name = f"{PICTURES}/{seed}_{len(rows):04d}.png"
        if folder is not None:
            Image.fromarray(circuit.frame()).save(folder / name)
        rows.append((name, round(wheel, 4), round(circuit.speed, 2), seed))
        circuit.act(wheel + pushes(), *pedals(circuit.speed, wheel, cruise))
    circuit.close()
    if folder is not None:
        _append(folder / "driving_log.csv", rows)
    return circuit.visited, len(rows)


def _append(log: Path, rows: list[tuple[str, float, float, int]]) -> None:
    begun = log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows if begun else [HEADER.split(","), *rows])
