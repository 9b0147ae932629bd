"""Does each seeded bug do harm? Trains every program with and without its bug and writes what became of the two.

    OMP_NUM_THREADS=1 python benchmarks/trust/harm.py [NAME ...] [--seeds 3]

A bug counts where its harm is over 0.01 and over two standard errors of the seeds' mean. Harm is what the honest score
lost (`HIGHER = "truth"`), or by how much more than its twin the program overstates itself (`"report"`). The score of
the untrained twin stands beside them, to see that the fixed one learns. Programs that were set aside are written
beside themselves, so that nobody meets them by chance.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
FOLDERS = {".": HERE, "held": PROGRAMS / "held", "healthy": HERE, "healthy_held": PROGRAMS / "healthy_held"}
POINT = 0.01

Step = Callable[[nn.Module, Any, torch.optim.Optimizer], Any]
Program = dict[str, Any]


def load(path: Path) -> ModuleType:
    """The program as a module; it finds material.py because this folder is the first on the path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def forward(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def plain_step(loss: Callable[..., Tensor]) -> Step:
    def step(model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer) -> None:
        inputs, targets = batch
        optimizer.zero_grad()
        loss(forward(model, inputs), targets).backward()
        optimizer.step()

    return step


def train(program: Program) -> float | None:
    """One plain loop over what a program hands over; its own metric of the last epoch, where it has one.

    A program's own step answers for the mode of its model. Without one, train mode is set before every epoch.
    """
    model, scheduler, evaluate = program["model"], program.get("scheduler"), program.get("evaluate")
    optimizer = program.get("optimizer") or torch.optim.Adam(model.parameters(), lr=1e-3)
    step = program.get("train_step") or plain_step(program["loss"])
    report = None
    for _ in range(program.get("epochs", 5)):
        if "train_step" not in program:
            model.train()
        for batch in program["train"]:
            step(model, batch, optimizer)
            if scheduler is not None and program["scheduler_step"] == "batch":
                scheduler.step()
        if scheduler is not None and program["scheduler_step"] == "epoch":
            scheduler.step()
        if evaluate is not None:
            report = float(evaluate(model, program["val"]))
    return report


def score(module: ModuleType, model: nn.Module, seed: int) -> float:
    """The honest score; a network of NaN has learned nothing."""
    found = float(module.truth(model, seed))
    return round(found, 4) if math.isfinite(found) else 0.0


def outcomes(module: ModuleType, buggy: bool, seeds: int) -> dict[str, list[Any]]:
    """Truth and report of one training per seed."""
    found: dict[str, list[Any]] = {"truth": [], "report": []}
    for seed in range(seeds):
        program = module.build(buggy, seed) if module.BUG else module.build(seed)
        report = train(program)
        found["truth"].append(score(module, program["model"], seed))
        found["report"].append(None if report is None else round(report, 4))
    return found


def overstated(found: dict[str, list[Any]]) -> list[float]:
    return [report - truth for report, truth in zip(found["report"], found["truth"], strict=True)]


def harm(higher: str, buggy: dict[str, list[Any]], fixed: dict[str, list[Any]]) -> tuple[float, float]:
    """Mean harm over the seeds, and its standard error.

    >>> harm("truth", {"truth": [0.5, 0.6]}, {"truth": [0.9, 0.8]})
    (0.3, 0.1)
    """
    if higher == "report":
        pairs = zip(overstated(buggy), overstated(fixed), strict=True)
    else:
        pairs = zip(fixed["truth"], buggy["truth"], strict=True)
    differences = [first - second for first, second in pairs]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return round(statistics.fmean(differences), 4), round(error, 4)


def judge(path: Path, seeds: int) -> dict[str, Any]:
    """One row of harm.json."""
    begun = time.perf_counter()
    module = load(path)
    untrained = module.build(False, 0) if module.BUG else module.fixed()
    row: dict[str, Any] = {"bug": module.BUG, "untrained": score(module, untrained["model"], 0)}
    row["fixed"] = outcomes(module, False, seeds)
    trainings = seeds
    if module.BUG:
        row["higher"] = module.HIGHER
        row["buggy"] = outcomes(module, True, seeds)
        row["harm"], row["error"] = harm(module.HIGHER, row["buggy"], row["fixed"])
        row["counts"] = row["harm"] > max(POINT, 2 * row["error"])
        trainings = 2 * seeds
    row["seconds"] = round((time.perf_counter() - begun) / trainings, 1)
    return row


def line(name: str, row: dict[str, Any]) -> str:
    text = f"{name:28} {row['bug'] or '-':28} {row['seconds']:5.1f} s  untrained {row['untrained']:7.3f}"
    text += f"  fixed {statistics.fmean(row['fixed']['truth']):7.3f}"
    if row["bug"]:
        text += f"  buggy {statistics.fmean(row['buggy']['truth']):9.3f}  harm {row['harm']:8.3f} +- {row['error']:.3f}"
        text += "" if row["counts"] else "  DOES NOT COUNT"
    return text


def write(file: Path, name: str, row: dict[str, Any]) -> None:
    rows = json.loads(file.read_text()) if file.exists() else {}
    rows[name] = row
    text = ",\n".join(f"{json.dumps(key)}: {json.dumps(rows[key])}" for key in sorted(rows))
    file.write_text("{\n" + text + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="programs by name; all where none is given")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for folder, home in FOLDERS.items():
        for path in sorted((PROGRAMS / folder).glob("*.py")):
            if not asked.names or path.stem in asked.names:
                row = judge(path, asked.seeds)
                write(home / "harm.json", path.stem, row)
                print(line(path.stem, row), flush=True)


if __name__ == "__main__":
    main()
