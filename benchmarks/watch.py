"""What the watch costs: the same training with and without it, in alternation, and that it gives the same bits.

    python benchmarks/watch.py [--rounds 9] [--steps 400]

Two networks on digits: `simple_cnn` at 28 x 28 pixels, and a ResNet-18 of timm at 32 x 32, which takes a quarter of the
steps. Processor time is compared, which other programs disturb less than the clock; validation is on 16 rows. Of the
rounds' ratios the median is told, with the lowest and highest. It fails above 2 %.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import Finding
from snowball.training.loop import Trainer, as_rows, seed_everything
from snowball.training.machine import keep_freed_memory

LIMIT = 1.02
CASES = {
    "digits at 28 x 28, simple_cnn": ("digits", {"model": "simple_cnn", "image.size": 28}),
    "digits at 32 x 32, ResNet-18": ("digits", {"model": "timm:resnet18", "image.size": 32, "batch_size": 16}),
}


class Silent:
    """Listens to nothing."""

    def stepped(self, trainer: Trainer, rows: int) -> None: ...
    def logged(self, row: Mapping[str, Any]) -> None: ...
    def improved(self, trainer: Trainer) -> None: ...
    def found(self, trainer: Trainer, finding: Finding) -> None:
        print(f"    {finding}")

    def stopping(self) -> bool:
        return False


def trained(data: Prepared, model: nn.Module, steps: int, *, watched: bool) -> tuple[float, nn.Module]:
    """Seconds of processor time, and the network."""
    task = type(data.task)(data.task.recipe.replace({"train.steps": steps}), data.task.schema, data.task.table)
    seed_everything(0)
    rows = as_rows(data.splits, torch.device("cpu"))
    trainer = Trainer(task, copy.deepcopy(model), data.encoded, {**rows, "val": rows["val"][:16]}, watched=watched)
    started = time.process_time()
    trainer.run(Silent())
    return time.process_time() - started, trainer.model


def model_is_small(model: nn.Module) -> bool:
    return sum(parameter.numel() for parameter in model.parameters()) < 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=400)
    asked = parser.parse_args()
    keep_freed_memory()
    worst = 0.0
    for name, (source, keys) in CASES.items():
        data = prepare(source, keys, Display(quiet=True))
        seed_everything(0)
        model = data.task.model()
        steps = asked.steps if model_is_small(model) else asked.steps // 4
        trained(data, model, 10, watched=True)
        ratios = []
        for number in range(asked.rounds):
            first = number % 2 == 0  # which of the two goes first, in turn
            one, model_one = trained(data, model, steps, watched=first)
            other, model_other = trained(data, model, steps, watched=not first)
            ratios.append(one / other if first else other / one)
            pairs = zip(model_one.state_dict().values(), model_other.state_dict().values(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), "a watched training gives other bits"
        middle = statistics.median(ratios)
        worst = max(worst, middle)
        print(f"{name}: {steps} steps, with : without = {middle:.4f} ({min(ratios):.4f} to {max(ratios):.4f})")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
