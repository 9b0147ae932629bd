"""What the watch costs: the share of a training that is spent in it; a training without it gives the same bits.

    python benchmarks/watch.py [--rounds 3] [--steps 400]

Two networks on digits: `simple_cnn` at 28 x 28 pixels, and a ResNet-18 of timm at 32 x 32, which takes a quarter of the
steps; validation is on 16 rows. The processor time in the watch's own functions is divided by the training's; beside it
is the training with the watch over the one without, which says less: two equal trainings differ by up to a tenth. Of
the rounds' shares the median is told, with the lowest and highest. It fails above 2 %.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import Finding
from snowball.training.loop import Trainer, as_rows, seed_everything
from snowball.training.machine import keep_freed_memory
from snowball.training.watch import Watch

LIMIT = 0.02
WATCHED = ("before_step", "after_step", "of_step", "of_epoch")
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


class Spent:
    """Processor time in the watch's functions, while it is entered."""

    def __enter__(self) -> Spent:
        self.seconds = 0.0
        self.own = {name: getattr(Watch, name) for name in WATCHED}
        for name, function in self.own.items():
            setattr(Watch, name, self.timed(function))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self.own.items():
            setattr(Watch, name, function)

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            started = time.process_time()
            try:
                return function(*given)
            finally:
                self.seconds += time.process_time() - started

        return call


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
    parser.add_argument("--rounds", type=int, default=3)
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
        shares, ratios = [], []
        for number in range(asked.rounds):
            took: dict[bool, float] = {}
            models: dict[bool, nn.Module] = {}
            for watched in (True, False) if number % 2 else (False, True):
                with Spent() as spent:
                    took[watched], models[watched] = trained(data, model, steps, watched=watched)
                shares += [spent.seconds / took[watched]] if watched else []
            ratios.append(took[True] / took[False])
            pairs = zip(models[True].state_dict().values(), models[False].state_dict().values(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), "a watched training gives other bits"
        middle = statistics.median(shares)
        worst = max(worst, middle)
        print(
            f"{name}: {steps} steps, {middle:.2%} in the watch ({min(shares):.2%} to {max(shares):.2%});"
            f" with : without = {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            flush=True,
        )
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
