"""Real data as tensors, small enough that a training takes seconds on one core; all that the programs share.

Every function answers `Parts`: `train` and `val` are for the program, `test` is for its `truth` alone. Rows are raw, as
they lie in their source: a program scales and encodes as its author would. They are the caller's own copies. The order
is drawn once, by a fixed seed, so a program's own seed moves its weights and batches and never the rows. Run programs
with this folder on the path:

    PYTHONPATH=benchmarks/trust python -m snowball check benchmarks/trust/programs/NAME.py:setup

Data sets that ship with scikit-learn are always there; the others lie in `../shared/data` beside the clone, or where
`SNOWBALL_SHARED` points.

>>> parts = digits()
>>> parts.train.x.shape, parts.train.y.shape, parts.test.x.max()
(torch.Size([900, 64]), torch.Size([900]), tensor(16.))
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import wave
from collections import Counter
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch
from sklearn import datasets
from torch import Tensor

SHARED = Path(os.environ.get("SNOWBALL_SHARED", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
P, T = ParamSpec("P"), TypeVar("T")
PAD, UNKNOWN = 0, 1  # ids of the texts; words begin at 2


class Rows(NamedTuple):
    x: Tensor
    y: Tensor


class Parts(NamedTuple):
    train: Rows
    val: Rows
    test: Rows


def _copied(read: Callable[P, T]) -> Callable[P, T]:
    """Reads once, and hands a copy to each caller: programs scale and relabel in place."""
    kept = cache(read)

    @wraps(read)
    def copy(*args: P.args, **kwargs: P.kwargs) -> T:
        return deepcopy(kept(*args, **kwargs))

    return copy


# --- tables: float32 (N, F) with int64 classes, or float32 targets (N,)


def digits() -> Parts:
    """scikit-learn's scanned digits: x (N, 64) in 0..16, a picture of 8 by 8 row by row; y in 0..9; 900, 300, 597."""
    return _table(datasets.load_digits, 900, 300)


def wine() -> Parts:
    """13 chemical measures of very different scales; y in 0..2; 98, 30, 50 rows."""
    return _table(datasets.load_wine, 98, 30)


def iris() -> Parts:
    """4 lengths in cm; y in 0..2; 80, 30, 40 rows."""
    return _table(datasets.load_iris, 80, 30)


def breast_cancer() -> Parts:
    """30 measures, from 0.001 to 4,000; y 0 malignant (37 %), 1 benign; 320, 100, 149 rows."""
    return _table(datasets.load_breast_cancer, 320, 100)


def diabetes() -> Parts:
    """10 measures as taken (age, sex, BMI, pressure, six sera); y progression, 25 to 346; 260, 80, 102 rows."""
    return _table(lambda: datasets.load_diabetes(scaled=False), 260, 80)


@_copied
def _table(load: Callable[[], Any], train: int, val: int) -> Parts:
    found = load()
    order = np.random.default_rng(0).permutation(len(found.target))
    kind = torch.float32 if found.target.dtype.kind == "f" else torch.int64
    x, y = torch.tensor(found.data[order], dtype=torch.float32), torch.tensor(found.target[order], dtype=kind)
    ends = (slice(0, train), slice(train, train + val), slice(train + val, None))
    return Parts(*(Rows(x[part], y[part]) for part in ends))


# --- pictures: uint8 (N, 28, 28) in 0..255 with int64 classes


@_copied
def mnist(train: int = 2000, val: int = 500, test: int = 1000) -> Parts:
    """The first `train` digits of the training file, the `val` after them, and the first `test` of the test file."""
    return _pictures("mnist", train, val, test)


@_copied
def fashion(train: int = 2000, val: int = 500, test: int = 1000) -> Parts:
    """Fashion-MNIST, cut as `mnist` is."""
    return _pictures("fashion-mnist", train, val, test)


def _pictures(name: str, train: int, val: int, test: int) -> Parts:
    known, unseen = _idx(name, "train", train + val), _idx(name, "t10k", test)
    return Parts(Rows(*(t[:train] for t in known)), Rows(*(t[train:] for t in known)), unseen)


def _idx(name: str, part: str, rows: int) -> Rows:
    """The first rows of a pair of idx files: 16 and 8 bytes of header, then bytes."""
    with gzip.open(SHARED / name / f"{part}-images-idx3-ubyte.gz") as file:
        x = np.frombuffer(file.read(16 + rows * 784), np.uint8, offset=16).reshape(rows, 28, 28)
    with gzip.open(SHARED / name / f"{part}-labels-idx1-ubyte.gz") as file:
        y = np.frombuffer(file.read(8 + rows), np.uint8, offset=8)
    return Rows(torch.from_numpy(x.copy()), torch.from_numpy(y.astype(np.int64)))


# --- texts: int64 ids (N, T), padded with PAD at the right


@_copied
def trec(words: int = 2000, length: int = 16) -> Parts:
    """Questions and what they ask for, 6 classes: 4,400 train, 1,052 val, 500 test; ids below `words`, (N, length)."""
    known, unseen = (_lines("trec", name, "latin-1") for name in ("train_5500.label", "TREC_10.label"))
    order = np.random.default_rng(0).permutation(len(known))
    known = [known[row] for row in order]
    texts = [[_tokens(line.split(" ", 1)[1]) for line in lines] for lines in (known, unseen)]
    names = sorted({line.split(":", 1)[0] for line in known})
    labels = [torch.tensor([names.index(line.split(":", 1)[0]) for line in lines]) for lines in (known, unseen)]
    ids = vocabulary(texts[0], words)
    x = [encode(lines, ids, length) for lines in texts]
    return Parts(Rows(x[0][:4400], labels[0][:4400]), Rows(x[0][4400:], labels[0][4400:]), Rows(x[1], labels[1]))


@_copied
def sst2(train: int = 6000, words: int = 3000, length: int = 20) -> Parts:
    """Phrases of film reviews, y 0 negative and 1 positive: `train` phrases of 5 words or more, 872 val, 1,821 test."""
    parts = [
        [line.rsplit("\t", 1) for line in _lines("sst2", f"sentiment-{name}", "utf-8")]
        for name in ("train", "dev", "test")
    ]
    parts[0] = [row for row in parts[0] if len(row[0].split()) >= 5]
    order = np.random.default_rng(0).permutation(len(parts[0]))[:train]
    parts[0] = [parts[0][row] for row in order]
    texts = [[_tokens(text) for text, _ in rows] for rows in parts]
    ids = vocabulary(texts[0], words)
    labels = [torch.tensor([int(label) for _, label in rows]) for rows in parts]
    return Parts(*(Rows(encode(lines, ids, length), label) for lines, label in zip(texts, labels, strict=True)))


@_copied
def multi30k(train: int = 4000, words: int = 1000, length: int = 12) -> Parts:
    """English sentences of at most `length` words as x, their German as y; both (N, length) of ids."""
    read = {
        (part, tongue): [_tokens(line) for line in _gzip_lines(SHARED / "multi30k" / f"{part}.{tongue}.gz")]
        for part in ("train", "val", "test_2016_flickr")
        for tongue in ("en", "de")
    }
    ids = {tongue: vocabulary(read["train", tongue], words) for tongue in ("en", "de")}
    parts = []
    for part in ("train", "val", "test_2016_flickr"):
        pairs = [p for p in zip(read[part, "en"], read[part, "de"], strict=True) if max(map(len, p)) <= length][:train]
        parts.append(
            Rows(encode([en for en, _ in pairs], ids["en"], length), encode([de for _, de in pairs], ids["de"], length))
        )
    return Parts(*parts)


@_copied
def names(train: int = 4000, val: int = 1000, test: int = 1000) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct first names as letters 1..26, ended and padded by 0: int64 (N, 16)."""
    lines = sorted(set(_lines("names", "names.txt", "ascii")))
    order = np.random.default_rng(0).permutation(len(lines))[: train + val + test]
    x = torch.zeros(len(order), 16, dtype=torch.int64)
    for row, line in enumerate(lines[place] for place in order):
        x[row, : len(line)] = torch.tensor([ord(letter) - 96 for letter in line])
    return x[:train], x[train : train + val], x[train + val :]


@_copied
def shakespeare(train: int = 100_000, val: int = 10_000, test: int = 20_000) -> tuple[Tensor, Tensor, Tensor]:
    """Characters of tinyshakespeare as ids 0..64, int64 (N,): from its begin, and from 90 % and 95 % of it."""
    text = (SHARED / "tinyshakespeare" / "input.txt").read_text("ascii")
    ids = {letter: number for number, letter in enumerate(sorted(set(text)))}
    begins = (0, int(0.9 * len(text)), int(0.95 * len(text)))
    parts = [text[begin : begin + count] for begin, count in zip(begins, (train, val, test), strict=True)]
    first, second, third = (torch.tensor([ids[letter] for letter in part]) for part in parts)
    return first, second, third


def vocabulary(texts: Iterable[list[str]], words: int) -> dict[str, int]:
    """Ids of the commonest words, from 2 upwards, below `words`."""
    counted = Counter(word for text in texts for word in text)
    common = sorted(counted, key=lambda word: (-counted[word], word))[: words - 2]
    return {word: number for number, word in enumerate(common, start=2)}


def encode(texts: list[list[str]], ids: dict[str, int], length: int) -> Tensor:
    x = torch.full((len(texts), length), PAD)
    for row, text in enumerate(texts):
        found = [ids.get(word, UNKNOWN) for word in text[:length]]
        x[row, : len(found)] = torch.tensor(found, dtype=torch.int64)
    return x


def _tokens(line: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", line.lower())


def _lines(folder: str, name: str, encoding: str) -> list[str]:
    return (SHARED / folder / name).read_text(encoding).splitlines()


def _gzip_lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


# --- sound


@_copied
def fsdd(train: int = 900, val: int = 300) -> Parts:
    """Spoken digits as log spectra, x (N, 32, 43): 32 frames of 16 ms of 43 bands, silence after the end; test 300.

    A digit is said by one of 6 speakers 50 times; the first five are the test, as the set's authors have it.
    """
    rows: dict[bool, list[tuple[str, np.ndarray[Any, Any]]]] = {True: [], False: []}
    with tarfile.open(SHARED / "fsdd" / "recordings.tar") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".wav") else None
            if file is not None:
                name = Path(member.name).stem
                with wave.open(io.BytesIO(file.read())) as sound:
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / 32768
                rows[int(name.rsplit("_", 1)[1]) < 5].append((name, samples))
    generator = np.random.default_rng(0)
    known = sorted(rows[False], key=lambda row: row[0])
    known = [known[place] for place in generator.permutation(len(known))[: train + val]]
    unseen = sorted(rows[True], key=lambda row: row[0])
    (x, y), test = (
        Rows(torch.stack([_spectrum(s) for _, s in part]), torch.tensor([int(name[0]) for name, _ in part]))
        for part in (known, unseen)
    )
    return Parts(Rows(x[:train], y[:train]), Rows(x[train:], y[train:]), test)


def _spectrum(samples: np.ndarray[Any, Any]) -> Tensor:
    wave_ = torch.zeros(256 + 31 * 128)
    cut = torch.from_numpy(samples[: len(wave_)]).float()
    wave_[: len(cut)] = cut
    power = torch.stft(wave_, 256, 128, window=torch.hann_window(256), center=False, return_complex=True).abs() ** 2
    return torch.log(power.T.reshape(32, 43, 3).mean(2) + 1e-6)
