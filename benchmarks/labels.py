"""Wrong labels found: a share of the training labels of MNIST and of TREC is flipped at random, and audited.

    python benchmarks/labels.py [--data DIR] [--out DIR] [--share 0.1] [--only mnist trec] [--rows 60000] [-- KEYS]

A flipped label is another class, each as likely, drawn with a seed. Precision and recall are of the rows that the audit
names, by its own decision, which was chosen on digits and on fashion-mnist. MNIST and TREC have wrong labels of
their own, which count against the precision where they are found.
"""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SEED = 2026
KEYS: Mapping[str, Sequence[str]] = {
    "mnist": ("preset=fast",),
    "trec": (),
    "fashion-mnist": ("preset=fast", "epochs=3"),
}


def flipped(labels: Sequence[Any], share: float) -> tuple[list[Any], np.ndarray]:
    """The labels with that share of them another class, and the sorted rows that were flipped."""
    random = np.random.Generator(np.random.Philox(SEED))
    classes = sorted(set(labels))
    rows = np.sort(random.permutation(len(labels))[: round(share * len(labels))])
    given = list(labels)
    for row, step in zip(rows.tolist(), random.integers(1, len(classes), len(rows)).tolist(), strict=True):
        given[row] = classes[(classes.index(labels[row]) + step) % len(classes)]
    return given, rows


def write_pictures(source: Path, folder: Path, share: float, num_rows: int) -> tuple[Path, np.ndarray]:
    """The first rows of the training pictures as they are, and their labels flipped; no test rows."""
    with gzip.open(source / "train-images-idx3-ubyte.gz") as file:
        pixels = file.read()[16 : 16 + num_rows * 28 * 28]
    with gzip.open(source / "train-labels-idx1-ubyte.gz") as file:
        labels = list(file.read()[8 : 8 + num_rows])
    given, rows = flipped(labels, share)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, len(labels), 28, 28) + pixels)
    (folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, len(labels)) + bytes(given))
    return folder, rows


def write_trec(source: Path, folder: Path, share: float, num_rows: int) -> tuple[Path, np.ndarray]:
    """The training questions with their coarse labels."""
    lines = (source / "train_5500.label").read_text(encoding="latin-1").splitlines()[:num_rows]
    labels, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    given, rows = flipped([label.partition(":")[0] for label in labels], share)
    folder.mkdir(parents=True, exist_ok=True)
    written = [json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(texts, given, strict=True)]
    (folder / "questions.jsonl").write_text("".join(written), encoding="utf-8")
    return folder / "questions.jsonl", rows


WRITERS = {"mnist": write_pictures, "trec": write_trec, "fashion-mnist": write_pictures}


def score(data: Path, wrong: np.ndarray, keys: Sequence[str], out: Path) -> str:
    """One audit as a user types it, against what was flipped."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "snowball", "audit", str(data), "audit.labels=true", *keys, "-o", str(out)]
    subprocess.run(command, stdout=sys.stderr, check=True)
    seconds = time.perf_counter() - begun
    found = json.loads(out.read_text())["findings"]
    (evidence,) = [finding["evidence"] for finding in found if finding["check"] == "label-noise"]
    flagged = {row["row"] for row in evidence["rows"]}
    hits = len(flagged & set(wrong.tolist()))
    precision, recall = hits / len(flagged), hits / len(wrong)
    f1 = 2 * precision * recall / (precision + recall)
    return (
        f"{evidence['checked']:,} rows, {len(wrong):,} flipped; flagged {len(flagged):,}; precision {precision:.4f},"
        f" recall {recall:.4f}, F1 {f1:.4f}; estimated share {evidence['estimated_share']:.4f};"
        f" agreement {evidence['agreement']:.4f}; {seconds:.0f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("labels"))
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--only", nargs="+", default=["mnist", "trec"], choices=list(WRITERS))
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("keys", nargs="*", help="in place of each set's own, after --")
    asked = parser.parse_args()
    for name in asked.only:
        data, wrong = WRITERS[name](asked.data / name, asked.out / name, asked.share, asked.rows)
        keys = asked.keys or KEYS[name]
        print(f"{name} {' '.join(keys)}: {score(data, wrong, keys, asked.out / f'{name}.json')}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
