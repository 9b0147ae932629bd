"""Samples that need no network: real data that ships inside a dependency."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...finding import BadInput
from ...table import Column, Table

__all__ = ["DEFAULTS", "SAMPLES"]

DEFAULTS: dict[str, dict[str, Any]] = {"digits": {}}
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
}
"""name -> (reader, one line, size and licence)."""
