"""Recording: what the camera saw and what the scripted driver wanted, as a folder that `snowball train` reads.

While it is recorded the car is pushed off its line now and then: what is carried out is another wheel than what is
written down, so that the recording shows how to come back, which a perfect lap never does (Ross et al., 2011, DAgger;
Laskey et al., 2017, DART).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ..rng import mix
from .circuit import Circuit
from .expert import pedals, pursue

__all__ = ["COLUMNS", "Pushes", "record_lap"]

COLUMNS = tuple("image steering speed lap".split())
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


def record_lap(
    folder: Path, seed: int, *, push: float, cruise: float, limit: int, progress: Callable[[], None]
) -> tuple[float, int]:
    """Drive one lap by script and add its frames to the folder; the share of tiles visited, and how many frames."""
    circuit, pushes = Circuit(seed), Pushes(push, seed)
    rows: list[tuple[str, float, float, int]] = []
    (folder / "IMG").mkdir(parents=True, exist_ok=True)
    while not circuit.ended and circuit.steps < limit:
        wheel = pursue(circuit)
        name = f"IMG/{seed}_{len(rows):04d}.png"
        Image.fromarray(circuit.frame()).save(folder / name)
        rows.append((name, round(wheel, 4), round(circuit.speed, 2), seed))
        circuit.act(wheel + pushes(), *pedals(circuit.speed, wheel, cruise))
        progress()
    circuit.close()
    log = folder / "driving_log.csv"
    begun = log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(rows if begun else [COLUMNS, *rows])
    return circuit.visited, len(rows)
