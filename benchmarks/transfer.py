"""What a trained network brings to a task of few labels, and what features that are computed once save.

    python benchmarks/transfer.py [--data DIR] [--seeds 5] [--only digits|cells|speed]

MNIST's network (simple_cnn, 8 epochs of cropped, turned and sheared pictures, since digits elsewhere fill their frame
otherwise) is trained on to scikit-learn's digits, of which 5 a class have labels; the same network from scratch is
beside it, in the same recipe, and all other digits are the test. SqueezeNet, as Caffe's files
have it from ImageNet, is imported and trained on to tell blood cells apart: BCCD's boxes cut out, CELLS a class with
labels, the test from other pictures. Then an epoch of a network whose backbone rests is timed with features from memory
and with the backbone run in every step.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import snowball
from snowball.cli import main as snowball_command
from snowball.run import Run

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LABELS = 5
CELLS = 10
CELL_TEST = 60  # of each class
CELL_KEYS = {"epochs": 20, "train.batch_size": 10, "train.preflight": False, "augment.flip": 0.5}
KEYS = {"model": "simple_cnn", "image.size": 28, "epochs": 60, "train.batch_size": 16, "train.preflight": False}
TURNED = {
    "augment.crop": 0.6,
    "augment.rotate": 12,
    "augment.shift": 0.1,
    "augment.shear": 8,
    "augment.scale": 0.2,
}
WAYS = {
    "from scratch": {},
    "features": {"transfer": "features"},
    "finetune": {"transfer": "finetune"},
    "full": {"transfer": "full"},
}


def write_digits(folder: Path, seed: int) -> None:
    """`train` with LABELS pictures of each digit, drawn by the seed, and `test` with all others."""
    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    taken = dict.fromkeys(range(10), 0)
    for number in order:
        label = int(found.target[number])
        split = "train" if taken[label] < LABELS else "test"
        taken[label] += 1
        place = folder / split / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((found.images[number] * 15.9375).astype(np.uint8)).save(place / f"{number}.png")


def interval(values: list[float]) -> str:
    """Mean and half its 95 % interval by Student's t, for five values or whatever there are."""
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * half:.1f}"


def seconds_an_epoch(run: Run) -> float:
    rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(row["seconds"] for row in rows if row["event"] == "epoch")


def write_cells(folder: Path, data: Path, seed: int, labels: int = CELLS) -> None:
    """`train` with so many boxes of each kind, `test` with CELL_TEST, of other pictures, drawn by the seed."""
    boxes = list(csv.DictReader((data / "bccd" / "test.csv").open()))
    pictures = sorted({row["filename"] for row in boxes})
    drawn = np.random.default_rng(seed).permutation(len(pictures))
    half = {pictures[number] for number in drawn[: len(pictures) // 3]}
    order = np.random.default_rng(seed).permutation(len(boxes))
    taken: dict[tuple[str, str], int] = {}
    with tarfile.open(data / "bccd" / "BCCD.tar") as archive:
        for number in order:
            row = boxes[number]
            split = "train" if row["filename"] in half else "test"
            key, sides = (split, row["cell_type"]), [int(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            if taken.get(key, 0) >= (labels if split == "train" else CELL_TEST):
                continue
            if sides[2] - sides[0] < 8 or sides[3] - sides[1] < 8:
                continue  # two boxes are single points
            taken[key] = taken.get(key, 0) + 1
            file = archive.extractfile(f"BCCD/JPEGImages/{row['filename']}")
            assert file is not None
            place = folder / split / row["cell_type"]
            place.mkdir(parents=True, exist_ok=True)
            Image.open(io.BytesIO(file.read())).crop(tuple(sides)).save(place / f"{number}.png")


def import_squeezenet(data: Path, home: Path) -> None:
    folder = data / "caffe" / "squeezenet-deep-compression"
    files = folder / "SqueezeNet_deploy.prototxt", folder / "decompressed_SqueezeNet.caffemodel"
    words = ["import", *map(str, files), "mean=104,117,123", "-o", str(home / "squeezenet"), "--json"]
    assert snowball_command(words) == 0


def cells(data: Path, home: Path, seeds: int) -> None:
    import_squeezenet(data, home)
    ways: dict[str, dict[str, Any]] = {
        "simple_cnn from scratch": {"model": "simple_cnn", "image.size": 64},
        "SqueezeNet, features": {"init": str(home / "squeezenet"), "transfer": "features"},
        "SqueezeNet, finetune": {"init": str(home / "squeezenet"), "transfer": "finetune"},
    }
    scores: dict[str, list[float]] = {way: [] for way in ways}
    for seed in range(seeds):
        write_cells(home / f"cells-{seed}", data, seed)
        for way, keys in ways.items():
            asked = {**CELL_KEYS, "train.seed": seed, **keys}
            run = snowball.train(str(home / f"cells-{seed}"), asked, output=home / f"{way}-{seed}", quiet=True)
            scores[way].append(run.metrics["accuracy"])
            print(
                f"  {way}, seed {seed}: {run.metrics['accuracy']:.4f}, {seconds_an_epoch(run):.1f} s an epoch",
                flush=True,
            )
    print(f"| {CELLS} labels a class, {seeds} seeds | test accuracy % |\n| --- | --- |")
    for way, values in scores.items():
        print(f"| {way} | {interval(values)} |")


def digits(data: Path, home: Path, seeds: int) -> None:
    source = {"model": "simple_cnn", "epochs": 8, "train.batch_size": 64, "train.preflight": False, **TURNED}
    mnist = snowball.train(str(data / "mnist"), source, output=home / "mnist", quiet=True)
    print(f"MNIST itself: test accuracy {mnist.metrics['accuracy']:.4f}\n")
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        write_digits(home / f"digits-{seed}", seed)
        for way, transfer in WAYS.items():
            keys: dict[str, Any] = {**KEYS, "train.seed": seed, **transfer}
            keys |= {"init": str(mnist.path)} if transfer else {}
            folder = home / f"{way}-{seed}".replace(" ", "-")
            run = snowball.train(str(home / f"digits-{seed}"), keys, output=folder, quiet=True)
            scores[way].append(run.metrics["accuracy"])
    print(f"| {LABELS} labels a class, {seeds} seeds | test accuracy % | above scratch, points |")
    print("| --- | --- | --- |")
    for way, values in scores.items():
        above = [value - base for value, base in zip(values, scores["from scratch"], strict=True)]
        print(f"| {way} | {interval(values)} | {interval(above) if any(above) else ''} |")


def speed(data: Path, home: Path) -> None:
    """Seconds of an epoch with a resting backbone: digits by networks for 28 x 28 pixels, blood cells by SqueezeNet."""
    print(
        "| backbone | features from memory, s | backbone in every step, s | times as long |\n| --- | --- | --- | --- |"
    )
    cases = [("simple_cnn", "digits"), ("resnet18", "digits"), ("squeezenet", str(home / "cells-speed"))]
    write_cells(home / "cells-speed", data, 0, CELL_TEST)
    import_squeezenet(data, home)
    for network, source in cases:
        if source == "digits":
            keys = {"model": network, "image.size": 28, "epochs": 1, "train.preflight": False}
            snowball.train(source, keys, output=home / network, quiet=True)
        times = []
        for memory in (2.0, 1e-6):  # features do not fit the second: the backbone is run in every step
            keys = {"init": str(home / network), "transfer": "features", "epochs": 5, "train.preflight": False}
            keys |= {"augment.name": "none", "data.memory_gb": memory}
            run = snowball.train(source, keys, output=home / f"{network}-{memory}", quiet=True)
            times.append(seconds_an_epoch(run))
        print(f"| {network} | {times[0]:.3f} | {times[1]:.3f} | {times[1] / times[0]:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=("digits", "cells", "speed"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.only in (None, "digits"):
            digits(asked.data, Path(name), asked.seeds)
        if asked.only in (None, "cells"):
            cells(asked.data, Path(name), asked.seeds)
        if asked.only in (None, "speed"):
            speed(asked.data, Path(name))


if __name__ == "__main__":
    main()
