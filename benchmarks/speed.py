"""Seconds per epoch of simple_cnn on MNIST, Snowball beside its peers, in alternation and in one process tree.

    benchmarks/make_peers.sh                     once: the peers' own environment
    python benchmarks/speed.py [--data DIR] [--batch-sizes 32 128] [--rounds 3] [--epochs 3] [--only snowball hand-loop]

Every row trains the same 121,930 parameters with Adam at 0.001 and no augmentation. Snowball holds rows back for
validation, so all figures are seconds per 60,000 rows. The first epoch of each process is left out: it pays
for one-time set-up. Printed: medians over all other epochs, and ratios to the first row of each round, median by pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS_PYTHON = HERE / ".peers" / "bin" / "python"
ROWS = 60_000


def last_json(command: list[str], **environment: str) -> dict[str, Any]:
    """Run a command and read the JSON object on its last line of stdout."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, cwd=HERE.parent)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def snowball(data: Path, batch_size: int, epochs: int, seed: int) -> dict[str, Any]:
    """`snowball train` as a user types it, with what the peers do not do (augmentation) switched off."""
    with tempfile.TemporaryDirectory() as folder:
        keys = ["model=simple_cnn", "optim=adam", "schedule=constant", "augment=none", f"seed={seed}"]
        keys += [f"epochs={epochs}", f"batch_size={batch_size}", "-o", f"{folder}/run", "--json"]
        result = last_json([sys.executable, "-m", "snowball", "train", str(data), *keys])
        log = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
    epochs_logged = [row for row in log if row["event"] == "epoch"]
    return {
        "train_seconds": [ROWS / row["samples_per_second"] for row in epochs_logged],
        "test_accuracy": [result["metrics"]["accuracy"]],
        "total_seconds": result["seconds"],
    }


def peer(script: str, *options: str, python: Path = PEERS_PYTHON, **environment: str) -> Callable[..., dict[str, Any]]:
    def run(data: Path, batch_size: int, epochs: int, seed: int) -> dict[str, Any]:
        words = ["--data", str(data), "--batch-size", str(batch_size), "--epochs", str(epochs), "--seed", str(seed)]
        return last_json([str(python), str(HERE / "peers" / script), *words, *options], **environment)

    return run


RUNNERS: dict[str, Callable[..., dict[str, Any]]] = {
    "hand-loop": peer("hand_loop.py", python=Path(sys.executable)),
    "snowball": snowball,
    "pytorch-example": peer("pytorch_example_mnist.py", python=Path(sys.executable)),
    "keras-tensorflow": peer("keras_mnist.py", "--steps-per-execution", "1", KERAS_BACKEND="tensorflow"),
    "keras-tensorflow, 10 steps per execution": peer("keras_mnist.py", KERAS_BACKEND="tensorflow"),
    "lightning": peer("lightning_mnist.py"),
    "fastai": peer("fastai_mnist.py"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "mnist")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    asked = parser.parse_args()
    for batch_size in asked.batch_sizes:
        seconds: dict[str, list[list[float]]] = {name: [] for name in asked.only}
        accuracy: dict[str, list[float]] = {name: [] for name in asked.only}
        for seed in range(asked.rounds):
            for name in asked.only:
                result = RUNNERS[name](asked.data, batch_size, asked.epochs, seed)
                seconds[name].append(result["train_seconds"][1:] or result["train_seconds"])
                accuracy[name].append(result["test_accuracy"][-1])
                shown = " ".join(f"{value:.2f}" for value in result["train_seconds"])
                print(
                    f"batch {batch_size} round {seed} {name}: {shown} s, accuracy {accuracy[name][-1]:.4f}",
                    file=sys.stderr,
                )
        print(table(batch_size, seconds, accuracy), flush=True)


def table(batch_size: int, seconds: dict[str, list[list[float]]], accuracy: dict[str, list[float]]) -> str:
    first = next(iter(seconds))
    lines = [
        f"| batch {batch_size} | s per epoch (range) | ratio to {first} | test accuracy |",
        "| --- | --- | --- | --- |",
    ]
    for name, rounds in seconds.items():
        every = [value for values in rounds for value in values]
        pairs = [statistics.median(a) / statistics.median(b) for a, b in zip(rounds, seconds[first], strict=True)]
        lines.append(
            f"| {name} | {statistics.median(every):.2f} ({min(every):.2f} to {max(every):.2f}) |"
            f" {statistics.median(pairs):.3f} | {statistics.median(accuracy[name]):.4f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
