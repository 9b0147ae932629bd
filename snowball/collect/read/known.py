"""Known data sets: where their files stand, what their bytes must be, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ...finding import BadInput
from ...table import Table
from ..cache import cache_folder
from .archive import extract
from .cifar import CIFAR_FILES, cifar_table
from .download import Remote, check_file, fetch
from .idx import idx_table

__all__ = ["DEFAULTS", "KNOWN", "KnownSet", "read_known"]

DEFAULTS: dict[str, dict[str, Any]] = {
    "mnist": {},
    "fashion-mnist": {"augment.flip": 0.5},
    "cifar10": {"augment.flip": 0.5, "augment.shift": 0.125},
}
"""Recipe values that each set is best served by, as dotted keys."""


@dataclass(frozen=True)
class KnownSet:
    """A public data set: one line about it, its licence, its files, and the reader of the folder they stand in."""

    summary: str
    licence: str
    files: tuple[Remote, ...]
    read: Callable[[str, Path], Table]
    unpacked: Callable[[Path], Path | None] = lambda folder: None
    """The folder of the unpacked files under a user's folder, where the files as published are not needed."""

    @property
    def num_bytes(self) -> int:
        """What is downloaded, in bytes."""
        return sum(remote.size for remote in self.files)


def read_known(name: str, root: str | None) -> Table:
    """A known data set from the user's folder `root`, or else from the cache, downloaded where it is not there yet.

    The files are checked against their published size and SHA-256 in both cases.
    """
    known = KNOWN[name]
    if root is None:
        folder = cache_folder("datasets", name)
        for remote in known.files:
            fetch(remote, folder)
    else:
        folder = Path(root).expanduser()
        if not folder.is_dir():
            raise BadInput(f"data.root={root}: no such folder; without data.root, {name} is downloaded")
        if unpacked := known.unpacked(folder):
            return replace(known.read(name, unpacked), defaults=DEFAULTS[name])
        _check_root(name, known, folder)
    return replace(known.read(name, folder), defaults=DEFAULTS[name])


def _check_root(name: str, known: KnownSet, folder: Path) -> None:
    missing = [remote.name for remote in known.files if not (folder / remote.name).is_file()]
    if missing:
        raise BadInput(
            f"data.root={folder}: {name} needs {', '.join(missing)} there, as published;"
            f" without data.root, {name} is downloaded"
        )
    for remote in known.files:
        check_file(folder / remote.name, remote)


def _idx_files(mirrors: tuple[str, ...], sums: Mapping[str, tuple[int, str]]) -> tuple[Remote, ...]:
    return tuple(
        Remote(f"{name}-ubyte.gz", tuple(f"{mirror}{name}-ubyte.gz" for mirror in mirrors), size, digest)
        for name, (size, digest) in sums.items()
    )


def _read_idx_files(name: str, folder: Path, classes: tuple[str, ...] = ()) -> Table:
    train = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
    test = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    return idx_table(name, [train, test], classes)


def _read_cifar(name: str, folder: Path) -> Table:
    unpacked = _unpacked_cifar(folder)
    return cifar_table(name, unpacked or extract(folder / _CIFAR.name, _CIFAR.sha256) / _CIFAR_FOLDER)


def _unpacked_cifar(folder: Path) -> Path | None:
    return next((here for here in (folder, folder / _CIFAR_FOLDER) if (here / CIFAR_FILES[0]).is_file()), None)


_CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR = Remote(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

# Sizes and sums are of the files as first published (the git blobs in fgnt/mnist and zalandoresearch/fashion-mnist).
KNOWN: dict[str, KnownSet] = {
    "mnist": KnownSet(
        "60,000 + 10,000 handwritten digits, 28x28 grey, 10 classes",
        "no licence stated by its authors (LeCun, Cortes, Burges)",
        _idx_files(
            ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
            {
                "train-images-idx3": (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
                "train-labels-idx1": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
                "t10k-images-idx3": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
                "t10k-labels-idx1": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
            },
        ),
        _read_idx_files,
    ),
    "fashion-mnist": KnownSet(
        "60,000 + 10,000 pieces of clothing, 28x28 grey, 10 classes",
        "MIT (Zalando SE)",
        _idx_files(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            ),
            {
                "train-images-idx3": (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                "train-labels-idx1": (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                "t10k-images-idx3": (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                "t10k-labels-idx1": (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            },
        ),
        partial(_read_idx_files, classes=FASHION_CLASSES),
    ),
    "cifar10": KnownSet(
        "50,000 + 10,000 photographs, 32x32 colour, 10 classes",
        "no licence stated by its authors; cite Krizhevsky, 2009",
        (_CIFAR,),
        _read_cifar,
        _unpacked_cifar,
    ),
}
