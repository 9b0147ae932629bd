"""Seconds of the pre-flight alone, on every task's own sample with its default recipe.

    python benchmarks/preflight.py [--only SAMPLE ...]

It fails above 10 s on digits and above 60 s on any other sample.
"""

from __future__ import annotations

import argparse
import sys
import time

from snowball.collect.prepare import prepare
from snowball.display import Display
from snowball.registry import tasks
from snowball.training.loop import as_rows, new_model, training_rows
from snowball.training.machine import choose_device, measured_recipe
from snowball.training.preflight import preflight

DIGITS, ANY = 10.0, 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[])
    asked = parser.parse_args()
    samples = {task.sample: task.name for task in tasks().values()}
    slow = 0
    print("| sample | task | seconds | errors |\n| --- | --- | --- | --- |")
    for sample in asked.only or samples:
        prepared = prepare(sample, {}, Display(quiet=True))
        task, device = prepared.task, choose_device(prepared.task.recipe.train.device)
        encoded, rows = training_rows(task, prepared.encoded, as_rows(prepared.splits, device))
        task.recipe = measured_recipe(task, encoded.batch(rows["train"][: task.recipe.train.batch_size]), device)
        model = new_model(task, device)
        started = time.monotonic()
        found = preflight(task, model, encoded, rows["train"])
        seconds = time.monotonic() - started
        errors = sum(finding.severity == "error" for finding in found)
        print(f"| {sample} | {task.name} | {seconds:.1f} | {errors} |", flush=True)
        slow += seconds > (DIGITS if sample == "digits" else ANY)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
