"""Kind: one type of column. How its cells are read, checked, encoded, augmented and drawn.

A kind is one file in `kinds/`, found by folder scan. One that can be the answer of a task derives from `Answer`.
Shapes: B rows in a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

import xxhash

from .finding import BadInput, Finding
from .recipe import Recipe, Section

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor, nn

    from .rng import SampleRandom

__all__ = [
    "AGAINST",
    "FOR",
    "Absent",
    "Batch",
    "Block",
    "Follow",
    "Kind",
    "Metric",
    "Named",
    "Pieces",
    "Unreadable",
    "content_digest",
]

FOR, AGAINST = (214, 39, 40), (31, 119, 180)
"""Red and blue of equal lightness: of pieces that an answer hangs on, and of those that hinder it."""


def content_digest(words: str, numbers: np.ndarray | None = None) -> str:
    """32 hex digits by XXH3: 0.05 ms for the pixels of 500 x 375, where SHA-256 takes 0.46 (2026-11-27).

    It tells rows apart that were not made to deceive; nothing that comes from a stranger is trusted for it.

    >>> content_digest("0"), content_digest("0") == content_digest("1")
    ('ce8f15881282a4001982e3a7bb241055', False)
    """
    seen = xxhash.xxh3_128(words.encode())
    if numbers is not None:
        seen.update(numbers.data if numbers.flags.c_contiguous else numbers.tobytes())
    return seen.hexdigest()


class Unreadable(Exception):
    """A cell that cannot be read as its kind: the row is set aside and named. The text says why."""

    role: str | None = None
    """What the cell was given as, where several were."""


class Absent(Unreadable):
    """A cell that holds nothing of its kind, such as a film without sound: some tasks can do without (`optional`)."""


@dataclass(frozen=True)
class Batch:
    """Encoded rows: `inputs` and `targets` by role, each with B rows first; `index` (B,) numbers them in the table."""

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)


class Follow(Protocol):
    """How targets follow what an augmentation does to the inputs; a Task is one."""

    def blend(self, targets: dict[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
        """Targets of which sample i keeps keep[i] (B,) and takes the rest from sample i - 1."""

    def warp(self, targets: dict[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        """Targets of pictures that were resampled by theta (B, 2, 3).

        theta maps a place in the new picture to where in the old one it comes from; both in -1..1, x before y, as
        torch's affine_grid has it.
        """


class Named(NamedTuple):
    """A cell that has no name of its own, such as one frame of a film, and what it is called."""

    name: str
    cell: Any


class Metric(NamedTuple):
    """A metric's name, as the field spells it, and whether more or less of it is better."""

    name: str
    best: Literal["max", "min"]

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than`; NaN beats nothing, and anything but NaN beats None."""
        if value != value:
            return False
        return than is None or (value > than if self.best == "max" else value < than)


@dataclass(frozen=True)
class Block:
    """One piece of a report, JSON-able: a `table` (columns, rows), `lines` (x, series, labels) or `matrix`."""

    title: str
    form: Literal["table", "lines", "matrix"]
    content: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Pieces:
    """What an encoded value falls into: each can be hidden, to see what an answer hangs on.

    It may be cut in W ways at once. `of` (W, ...) says which piece an entry belongs to, -1 for none, and `blank`
    (W, ...) what it becomes where that piece is hidden; both in the value's own shape, or one that broadcasts to it.
    """

    names: Sequence[str]
    of: Tensor
    blank: Tensor
    lie: tuple[int, ...]
    """How they lie beside each other, e.g. in so many rows and columns."""

    def hide(self, encoded: Tensor, hidden: Iterable[int]) -> Tensor:
        """The encoded value without the pieces of these numbers."""
        import torch

        numbers = torch.tensor(list(hidden), device=encoded.device)
        for of, blank in zip(self.of, self.blank, strict=True):
            encoded = torch.where(torch.isin(of, numbers), blank, encoded)
        return encoded


class Kind(ABC):
    """What every kind can do. `state` is what `fit` learned from the training rows: JSON-able, kept in schema.json."""

    key: ClassVar[str]
    sections: ClassVar[tuple[type[Section], ...]] = ()
    suffixes: ClassVar[frozenset[str]] = frozenset()
    """File name endings of this kind, in lower case."""
    column: ClassVar[str | None] = None
    """The kind of column that holds it, where that is another: a transcript is text, which a network spells out."""
    words: ClassVar[tuple[str, ...]] = ()
    """What the name of a column of this kind holds, in lower case, where that tells."""
    reads_paths: ClassVar[bool] = True
    """Whether `read` opens a str as a path; a server gives such a kind nothing but bytes."""
    padding: ClassVar[int | None] = None
    """Rows of this kind differ in their first dimension, and are padded at its end with this. None: one shape."""
    timed: ClassVar[bool] = False
    """Whether values run over time: a table's columns `start` and `end` then say which part of a file a row is."""
    adopts: ClassVar[frozenset[str]] = frozenset()
    """Other kinds whose columns this one can read where its task is asked for: an animation has a picture's suffix."""
    metadata: ClassVar[tuple[str, ...]] = ()
    """Those facts that are of the file and not of what it shows: an audit looks whether one gives the answer away."""
    background: ClassVar[tuple[str, ...]] = ()
    """The same, those that are of what surrounds what is shown."""
    traits: ClassVar[tuple[str, ...]] = ()
    """Further facts that say what a value is like, such as its brightness: splits are compared by these and by
    `metadata`, and a row that is far off in one is named."""
    sketch_rows: ClassVar[int | None] = None
    """Rows up to which a training looks for near copies; an audit does in any number. None: so does a training."""
    held_rows: ClassVar[int] = 128
    """Raw values that may be in memory at once."""
    fit_rows: ClassVar[int | None] = 2000
    """Training rows that `fit` looks at, evenly spaced: enough for means and sizes. None: all, for a vocabulary."""

    def __init__(self, recipe: Recipe, state: Mapping[str, Any]) -> None:
        self.recipe = recipe
        self.state = state

    @classmethod
    def column_kind(cls) -> str:
        """The kind of the columns that it is read from."""
        return cls.column or cls.key

    @classmethod
    def is_word(cls, column: str) -> bool:
        """Whether a column's name says that it is of this kind."""
        return any(word in column.lower() for word in cls.words)

    @classmethod
    @abstractmethod
    def read(cls, cell: Any) -> Any:
        """The raw value of a cell, checked. Raises Unreadable with the reason."""

    @classmethod
    def fit(cls, values: Iterable[Any], recipe: Recipe) -> dict[str, Any]:
        """Learn the state from raw values of training rows: sizes, statistics, a vocabulary."""
        return {}

    @abstractmethod
    def encode(self, value: Any) -> Tensor:
        """One raw value as a tensor. Pure and deterministic: it is cached, and serving reuses it as it is."""

    def nothing(self) -> Tensor:
        """What stands for a value that is absent, where a task can do without: one entry of padding."""
        raise TypeError(f"{self.key}: a row cannot do without")

    @classmethod
    def collate(cls, rows: Sequence[Tensor]) -> Tensor:
        """Encoded rows as one tensor of B rows, padded where they differ in length."""
        import torch

        if cls.padding is None:
            return torch.stack(list(rows))
        return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=cls.padding)

    @classmethod
    def digest(cls, value: Any) -> str:
        """A fingerprint of the raw value; equal values have equal digests."""
        return content_digest(str(value))

    @classmethod
    def facts(cls, value: Any) -> dict[str, Any]:
        """What an audit counts about a raw value, such as its width and mode."""
        return {}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What there is, counted over all readable rows, JSON-able: class counts, sizes, modes."""
        return {}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        """Findings on the facts of all readable rows, and on the state."""
        return []

    def sketch(self, value: Any) -> np.ndarray | None:
        """What near copies of a value are found by, an array of one shape and type; None: nothing to compare."""
        return None

    @classmethod
    def near_copies(cls, sketches: np.ndarray) -> np.ndarray:
        """(P, 2) numbers of those sketches (N, ...) whose values are nearly the same, the most alike first."""
        import numpy as np

        return np.empty((0, 2), dtype=np.int64)

    def notes(self, value: Any) -> list[str]:
        """What a person should know of a value that is to be answered, such as what the network cannot see of it."""
        return []

    # As something given.

    def augment(self, role: str, batch: Batch, rng: SampleRandom, follow: Follow) -> Batch:
        """A random variant of the batch, on its device. Where samples are mixed or moved, `follow` moves targets."""
        return batch

    def described(self) -> str:
        """What becomes of a value before a network sees it, in one line; nothing where that is plain."""
        return ""

    def preprocess(self) -> nn.Module:
        """A module from a raw batch, as a caller of an exported model has it, to encoded tensors."""
        from torch.nn import Identity

        return Identity()

    def raw_tensor(self, value: Any) -> Tensor:
        """A raw value as the tensor that `preprocess` takes, without its batch dimension."""
        return self.encode(value)

    def as_raw(self, encoded: Tensor) -> Tensor:
        """Encoded rows (B, ...) as raw ones that `preprocess` turns into just these again: an exported model is given
        rows of different sizes as one batch so. The same rows where preprocessing leaves them as they are.
        """
        return encoded

    def made_up(self, number: int) -> Any:
        """A raw value that nobody recorded, the same for the same number: what a run without data of its own, such as
        an imported one, is tried on. Raises BadInput for a kind of which that would say nothing.
        """
        raise BadInput(f"a run without data of its own can only be tried on data that is given: data=DATA ({self.key})")

    def input_axes(self) -> dict[int, str]:
        """Which dimensions of a raw batch vary beside the batch's own, by name."""
        return {}

    def draw(self, value: Any) -> Image.Image | str:
        """The raw value as a report shows it: a picture, or text."""
        return str(value)

    def pieces(self, value: Any, encoded: Tensor) -> Pieces:
        """What a raw value falls into in its encoded form: squares of a picture, words of a text."""
        raise TypeError(f"{self.key}: falls into no pieces")

    def draw_pieces(self, value: Any, weights: np.ndarray) -> Image.Image | None:
        """The raw value with what each piece weighs, by `Pieces.lie`; red: the answer hangs on it, blue: it hinders it.

        None: the pieces' names, one after another, say it best, as the words of a text do.
        """
        return None

    def playable(self, value: Any) -> tuple[str, bytes] | None:
        """What a page can play of a raw value: a media type, and the file's bytes."""
        return None

    @classmethod
    def expand(cls, argument: str) -> Iterable[Any]:
        """The cells that one argument of `snowball predict` names: itself, or the files of a folder, sorted.

        An iterator, of Named, where they come one after another and may have no end.
        """
        path = Path(argument)
        if not (cls.suffixes and path.is_dir()):
            return [argument]
        return sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in cls.suffixes and file.is_file())

    nested: ClassVar[bool] = False
    """Whether a JSON field may hold a list in place of a text."""

    @classmethod
    def from_request(cls, value: Any) -> Any:
        """A cell from a request: the bytes of an upload, or what a JSON field holds. Raises Unreadable."""
        return value

    widget: ClassVar[str] = "text"
    """How a page asks for one: `file` or `text`."""
    accept: ClassVar[str] = ""
    """The media types a file widget takes."""
