"""Samples that need no network: real data that ships inside Python or a dependency, and one that is computed."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...finding import BadInput
from ...table import Column, Table
from .sample_crossing import CROSSING, crossing
from .sample_motion import MOTION, SPEEDS, motion, speeds
from .sample_numbers import numbers
from .sample_roads import roads
from .sample_shapes import SHAPES, shapes
from .sample_sounds import SPOKEN, TONES, spoken, tones
from .sample_talking import TALKING, talking
from .sample_texts import docstrings, pydoc

__all__ = ["DEFAULTS", "SAMPLES"]

DEFAULTS: dict[str, dict[str, Any]] = {
    **{"digits": {}, "docstrings": {}, "pydoc": {}, "numbers": {}},
    "crossing": CROSSING,
    "motion": MOTION,
    "speeds": SPEEDS,
    "shapes": SHAPES,
    "spoken": SPOKEN,
    "tones": TONES,
    "talking": TALKING,
}
"""Recipe values that each sample is best served by, as dotted keys."""


def digits() -> Table:
    """1,797 scanned digits of 8 x 8 pixels, from scikit-learn's installed data file; scikit-learn is not imported."""
    import numpy as np

    path = _package_file("sklearn", "datasets/data/digits.csv.gz")
    with gzip.open(path) as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)  # (1797, 65): 64 pixels of 0..16, then the digit
    pixels = np.rint(rows[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    cells: Any = pixels
    columns = {
        "image": Column("image", "image", cells),
        "label": Column("label", "label", [str(digit) for digit in rows[:, 64].tolist()]),
    }
    return Table("digits", columns, [""] * len(rows), lambda row: f"digits, picture {row}", DEFAULTS["digits"])


def _package_file(package: str, inside: str) -> Path:
    """A data file of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / inside).is_file():
            return path
    raise BadInput(f"the installed {package} has no {inside}: pip install --force-reinstall scikit-learn")


SAMPLES: dict[str, tuple[Callable[[], Table], str, str]] = {
    "digits": (
        digits,
        "1,797 scanned handwritten digits, 8x8 grey, 10 classes",
        "in the package; CC BY 4.0 (UCI, Alpaydin and Kaynak)",
    ),
    "docstrings": (
        docstrings,
        "about 2,500 first paragraphs of docstrings, 5 classes: the package each is from",
        "in the packages; BSD-3-Clause (numpy, scipy, sklearn), PSF-2.0 (Python), matplotlib's own (PSF-based)",
    ),
    "pydoc": (
        pydoc,
        "the topics of Python's help: about 70 documents, 400,000 characters at most, of English",
        "in Python; PSF-2.0",
    ),
    "numbers": (
        numbers,
        "4,000 numbers below 10,000 in English and in German words",
        "computed; no licence needed",
    ),
    "roads": (
        roads,
        "600 drawn roads of 32x64 pixels, and the steering angle that follows each",
        "computed; no licence needed",
    ),
    "shapes": (
        shapes,
        "400 pictures of circles, squares and triangles, 64x64, each with its box",
        "computed; no licence needed",
    ),
    "crossing": (
        crossing,
        "600 scenes of two or three walkers who give way to each other; 8 frames seen, 12 to predict",
        "computed; no licence needed",
    ),
    "motion": (
        motion,
        "800 clips of 8 grey frames of 24x24: a blob moves left, right, up or down; no single frame tells which",
        "computed; no licence needed",
    ),
    "speeds": (
        speeds,
        "400 clips of 8 grey frames of 24x24, and how fast a blob moves to the right; no single frame tells it",
        "computed; no licence needed",
    ),
    "tones": (
        tones,
        "320 recordings of a tone that rises, falls, stays or trembles",
        "computed; no licence needed",
    ),
    "spoken": (
        spoken,
        "400 recordings of one to three of nine words, by a formant synthesiser with eight voices",
        "computed; no licence needed",
    ),
    "talking": (
        talking,
        "400 films of one to three of 13 words: synthesised sound, and a drawn mouth of 16x32 that follows it",
        "computed; no licence needed",
    ),
}
"""name -> (reader, one line, size and licence)."""
