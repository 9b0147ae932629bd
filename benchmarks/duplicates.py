"""Near copies across splits: rows of one split copied into another, changed, and how many of them an audit pairs.

    python benchmarks/duplicates.py [--data DIR] [--only fashion-mnist]

5 % of the training rows are copied into the test split. Each copy is scaled by 0.7 to 1.3 and back, moved by up to 2
pixels each way, brightened by 0.7 to 1.3 and stored as JPEG of quality 70, all four together, by a seed.

Counted are the pairs across splits that the audit finds by its own decision. The data have look-alikes of their own, of
which nobody knows whether they are copies: `found before` are the pairs that are found without the copies too; they
count neither as right nor as wrong, and `if those are wrong` counts them as wrong. A pair of a copy with a row that was
found alike to its original before is right. `mnist` and `photos` are what the thresholds were chosen by.
"""

from __future__ import annotations

import argparse
import gzip
import io
import shutil
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from snowball.collect.audit import near_pairs
from snowball.collect.prepare import audit_prepared, prepare
from snowball.display import Display

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARE = 0.05
SEED = 20261126
SHIFT = 2

Pairs = set[frozenset[str]]


def jittered(pixels: np.ndarray, random: np.random.Generator) -> bytes:
    """A picture (H, W) or (H, W, 3), changed in all four ways: the bytes of a JPEG file."""
    height, width = pixels.shape[:2]
    factor = random.uniform(0.7, 1.3)
    scaled = Image.fromarray(pixels).resize((round(width * factor), round(height * factor)), Image.Resampling.BILINEAR)
    pixels = np.asarray(scaled.resize((width, height), Image.Resampling.BILINEAR))
    framed = np.pad(pixels, [(SHIFT, SHIFT)] * 2 + [(0, 0)] * (pixels.ndim - 2), mode="edge")
    down, right = random.integers(0, 2 * SHIFT + 1, 2)
    moved = framed[down : down + height, right : right + width]
    brighter = np.clip(moved * random.uniform(0.7, 1.3), 0, 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(brighter).save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def _drawn(num: int, random: np.random.Generator) -> list[int]:
    return sorted(random.choice(num, max(1, round(SHARE * num)), replace=False).tolist())


def _idx(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        content = file.read()
    shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">{array.ndim + 1}I", 0x800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=1))


def plant_idx(source: Path, target: Path, random: np.random.Generator) -> dict[str, str]:
    """A folder of idx files with copies at the end of the test split. Copy -> original, as the audit names rows."""
    shutil.copytree(source, target)
    parts = {part: [target / f"{part}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")] for part in PARTS}
    (pictures, labels), (test, test_labels) = ([_idx(path) for path in parts[part]] for part in PARTS)
    rows = _drawn(len(pictures), random)
    copies = [np.asarray(Image.open(io.BytesIO(jittered(pictures[row], random)))) for row in rows]
    _write_idx(parts["t10k"][0], np.concatenate([test, copies]))
    _write_idx(parts["t10k"][1], np.concatenate([test_labels, labels[rows]]))
    return {
        f"{parts['t10k'][0].name}, picture {len(test) + number}": f"{parts['train'][0].name}, picture {row}"
        for number, row in enumerate(rows)
    }


PARTS = ("train", "t10k")


def plant_voc(source: Path, target: Path, random: np.random.Generator) -> dict[str, str]:
    """A folder in the form of Pascal VOC with copies named in its list of the test split."""
    with tarfile.open(source / "BCCD.tar") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11 has it from 3.11.4 on
        archive.extractall(target)
    root = target / "BCCD"
    names = (root / "ImageSets/Main/train.txt").read_text().split()
    made = {}
    for row in _drawn(len(names), random):
        name = f"copy_of_{names[row]}"
        pixels = np.asarray(Image.open(root / f"JPEGImages/{names[row]}.jpg"))
        (root / f"JPEGImages/{name}.jpg").write_bytes(jittered(pixels, random))
        annotation = (root / f"Annotations/{names[row]}.xml").read_text()
        (root / f"Annotations/{name}.xml").write_text(annotation.replace(f"{names[row]}.jpg", f"{name}.jpg"))
        with (root / "ImageSets/Main/test.txt").open("a") as file:
            file.write(f"{name}\n")
        made[f"{name}.jpg"] = f"{names[row]}.jpg"
    return made


def audited(source: Path) -> tuple[Pairs, Pairs, int, float]:
    """Pairs across splits, all pairs, rows, and the seconds of the whole audit."""
    begun = time.perf_counter()
    prepared = prepare(str(source), {}, Display(quiet=True), sketches=True)
    audit_prepared(prepared)
    seconds = time.perf_counter() - begun
    split_of = {int(row): name for name, rows in prepared.splits.items() for row in rows}
    pairs = near_pairs(prepared.task, prepared.encoded, prepared.splits)
    where = prepared.table.where
    named = {frozenset((_name(where(a)), _name(where(b)))): split_of[a] != split_of[b] for a, b in pairs}
    return {pair for pair, across in named.items() if across}, set(named), len(split_of), seconds


def _name(where: str) -> str:
    return where.rpartition("/")[2]


def measure(name: str, plant: Callable[[Path, Path, np.random.Generator], dict[str, str]], source: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _, before, _, _ = audited(source)
        original = plant(source, Path(folder, name), np.random.Generator(np.random.Philox(SEED)))
        found, _, num, seconds = audited(Path(folder, name))
    pairs = {frozenset((copy, row)) for copy, row in original.items()}
    # A copy's partners, with the copy's original in place of the copy: right where those two were found before.
    stood_in = {pair: frozenset(original.get(name, name) for name in pair) for pair in found}
    right = {pair for pair in found if pair in pairs or stood_in[pair] in before or len(stood_in[pair]) == 1}
    old = found & before
    wrong = found - right - old
    hit = len(found & pairs)
    cells = [
        *(name, f"{num:,}", f"{len(pairs):,}", f"**{hit / len(pairs):.1%}**"),
        f"**{len(right) / (len(right) + len(wrong)):.1%}** ({len(wrong)} wrong)",
        *(f"{len(old):,}", f"{len(right) / max(1, len(right) + len(wrong) + len(old)):.1%}"),
        f"{num / seconds:,.0f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--only", choices=("fashion-mnist", "mnist", "bccd"))
    asked = parser.parse_args()
    sources = {"fashion-mnist": plant_idx, "bccd": plant_voc, "mnist": plant_idx}
    print("| data | rows | copies | recall | precision | found before | if those are wrong | pictures/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in [asked.only] if asked.only else sources:
        measure(name, sources[name], asked.data / name)


if __name__ == "__main__":
    main()
