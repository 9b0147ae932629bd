"""What the loop adds to a step: a network of 10 parameters, Snowball's loop beside a plain one, in alternation.

    python benchmarks/tiny_step.py [--rounds 9] [--steps 5000]

Both train softmax regression from 2 x 2 pixels to 2 classes (10 parameters) on the same rows, batches of 32 by index,
SGD with momentum, cross-entropy, nothing else in the plain loop. Snowball's has its log, its checkpoints and
the live bar on a terminal switched on (drawn into a pseudo-terminal).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from snowball.collect.prepare import prepare
from snowball.display import Display
from snowball.run import Run
from snowball.training.loop import Trainer, as_rows
from snowball.training.machine import keep_freed_memory
from snowball.training.train import _fit

BATCH = 32


def terminal() -> Display:
    """A display on a pseudo-terminal whose other end is read and thrown away: the bar is really drawn."""
    reader, writer = os.openpty()
    threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reader, 65536), b"")], daemon=True).start()
    display = Display()
    display._stream = os.fdopen(writer, "w")
    return display


def write_pictures(folder: Path, num: int = 8192) -> None:
    random = np.random.default_rng(0)
    for label in range(2):
        (folder / str(label)).mkdir(parents=True)
        for i in range(num // 2):
            pixels = random.integers(0, 128, (2, 2), dtype=np.uint8) + np.uint8(100 * label)
            Image.fromarray(pixels).save(folder / str(label) / f"{i}.png")


def plain_loop(images: torch.Tensor, labels: torch.Tensor, steps: int) -> float:
    """Microseconds a step."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    done = 0
    started = time.perf_counter()
    while done < steps:
        for rows in torch.randperm(len(images)).split(BATCH):
            loss = F.cross_entropy(model(images[rows] / 255), labels[rows])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            done += 1
    return 1e6 * (time.perf_counter() - started) / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=5000)
    asked = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, "pictures")
        write_pictures(pictures)
        keys = {"model": "linear", "augment": "none", "optim": "sgd", "lr": 0.01, "batch_size": BATCH}
        data = prepare(str(pictures), {**keys, "schedule": "constant"}, Display(quiet=True))
        rows = as_rows(data.splits, torch.device("cpu"))
        epochs = max(1, asked.steps * BATCH // len(rows["train"]))
        recipe = data.task.recipe.replace({"train.epochs": epochs})
        data.task.recipe = recipe
        train = data.encoded.batch(rows["train"])
        images, labels = train.inputs["image"], train.targets["label"]
        seconds: dict[str, list[float]] = {"plain": [], "snowball": []}
        for number in range(asked.rounds + 1):
            plain = plain_loop(images, labels, asked.steps)
            run = Run.create(Path(folder, f"run{number}"), recipe, data.task.schema, {})
            trainer = Trainer(data.task, data.task.model(), data.encoded, rows)
            _fit(trainer, run, terminal())
            logged = [row["ms_per_step"] for row in run.log() if row["event"] == "epoch"]
            if number:  # the first of each pays for set-up
                seconds["plain"].append(plain)
                seconds["snowball"].append(1000 * statistics.fmean(logged))
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values):.1f} us a step ({min(values):.1f} to {max(values):.1f})")
    print(f"ratio, median of pairs: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    sys.exit(main())
