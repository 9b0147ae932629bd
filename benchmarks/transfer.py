"""What a trained network brings to a task of few labels, and what features that are computed once save.

    python benchmarks/transfer.py [--data DIR] [--seeds 5]

MNIST's network (simple_cnn, 3 epochs) is trained on to scikit-learn's digits, of which 5 a class have labels; the same
network from scratch is beside it, in the same recipe, and all other digits are the test. Then an epoch of a network
whose backbone rests is timed with features from memory and with the backbone run in every step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import snowball
from snowball.run import Run

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LABELS = 5
KEYS = {"model": "simple_cnn", "image.size": 28, "epochs": 60, "train.batch_size": 16, "train.preflight": False}
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        source = {"model": "simple_cnn", "epochs": 3, "train.batch_size": 64, "train.preflight": False}
        mnist = snowball.train(str(asked.data / "mnist"), source, output=home / "mnist", quiet=True)
        print(f"MNIST itself: test accuracy {mnist.metrics['accuracy']:.4f}\n")
        scores: dict[str, list[float]] = {way: [] for way in WAYS}
        for seed in range(asked.seeds):
            write_digits(home / f"digits-{seed}", seed)
            for way, transfer in WAYS.items():
                keys: dict[str, Any] = {**KEYS, "train.seed": seed, **transfer}
                keys |= {"init": str(mnist.path)} if transfer else {}
                folder = home / f"{way}-{seed}".replace(" ", "-")
                run = snowball.train(str(home / f"digits-{seed}"), keys, output=folder, quiet=True)
                scores[way].append(run.metrics["accuracy"])
        print(f"| {LABELS} labels a class, {asked.seeds} seeds | test accuracy % | above scratch, points |")
        print("| --- | --- | --- |")
        for way, values in scores.items():
            above = [value - base for value, base in zip(values, scores["from scratch"], strict=True)]
            print(f"| {way} | {interval(values)} | {interval(above) if any(above) else ''} |")
        times = []
        for memory in (2.0, 1e-6):  # features do not fit the second: the backbone is run in every step
            keys = {"model": "simple_cnn", "init": str(mnist.path), "transfer": "features", "epochs": 3}
            keys |= {"train.preflight": False, "augment.name": "none", "data.memory_gb": memory}
            run = snowball.train(str(asked.data / "mnist"), keys, output=home / f"timed-{memory}", quiet=True)
            times.append(seconds_an_epoch(run))
        cached, whole = times
        print(f"\nan epoch of MNIST: features from memory {cached:.2f} s, the backbone in every step {whole:.2f} s,")
        print(f"{whole / cached:.1f} times as long")


if __name__ == "__main__":
    main()
