"""Near copies by MinHash sketches (Broder, 1997): whole numbers of which two rows share about as many as of content."""

from __future__ import annotations

from itertools import combinations

import numpy as np

__all__ = ["near_by_minhash"]

BANDS = (
    8  # parts of a sketch: rows that agree in a whole part are compared; of 4 numbers each, 0.8-alike rows meet 98 %
)
ALIKE = 0.75  # of a sketch's numbers that are equal: about the share of their content that two rows have in common
CROWD = 50  # rows of one part that are compared with each other; a larger crowd says the same with its first ones


def near_by_minhash(sketches: np.ndarray) -> np.ndarray:
    """(P, 2) numbers of those sketches (N, numbers) that are nearly the same, the most alike first.

    By locality-sensitive hashing: only rows that agree in a whole part of their sketch are compared.

    >>> near_by_minhash(np.array([range(32), range(50, 82), [*range(31), 99]])).tolist()
    [[0, 2]]
    """
    met: dict[tuple[int, bytes], list[int]] = {}
    for row, sketch in enumerate(sketches):
        for number, part in enumerate(np.split(sketch, BANDS)):
            met.setdefault((number, part.tobytes()), []).append(row)
    pairs: dict[tuple[int, int], float] = {}
    for rows in met.values():
        for one, other in combinations(rows[:CROWD], 2):
            if (one, other) not in pairs:
                pairs[one, other] = float((sketches[one] == sketches[other]).mean())
    near = sorted((pair for pair, share in pairs.items() if share >= ALIKE), key=lambda pair: -pairs[pair])
    return np.array(near, dtype=np.int64).reshape(-1, 2)
