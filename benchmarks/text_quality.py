"""What the networks for text reach from scratch, as a user types it: TREC, SST-2, and Multi30k with its BLEU over time.

    python benchmarks/text_quality.py [--data DIR] [--only trec sst2 multi30k] [--seeds 1]

Every recipe is the task's own default. Weights are chosen on validation rows; the test split is scored once.
For Multi30k the best weights of every epoch are kept as they appear, and scored on the validation split afterwards.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

import snowball
from snowball.collect.prepare import prepare_run
from snowball.display import Display
from snowball.evaluate import predict_rows
from snowball.rows import Rows
from snowball.run import Run
from snowball.storage import read_tensors

HERE = Path(__file__).resolve().parent
SETS: dict[str, dict[str, object]] = {"trec": {}, "sst2": {}, "multi30k": {"source": "en", "target": "de"}}
SHOWN = ("accuracy", "f1", "bleu", "chrf", "perplexity")


def keep_weights(run: Path, kept: Path, done: threading.Event) -> None:
    """Copy the best weights whenever they change, under the seconds since the training began."""
    begun, last = time.time(), 0.0
    while not done.wait(0.5):
        weights = run / "model.safetensors"
        if weights.is_file() and weights.stat().st_mtime != last:
            last = weights.stat().st_mtime
            shutil.copy(weights, kept / f"{last - begun:08.1f}.safetensors")


def curve(run: Run, kept: Path, points: int = 8) -> None:
    """BLEU on the validation split for some of the kept weights."""
    prepared = prepare_run(run, Display(quiet=True))
    task, rows = prepared.task, torch.as_tensor(prepared.splits["val"])
    assert task.table is not None
    source = Rows(task, task.table, rows.tolist())
    answers = [source.answer(row) for row in source.numbers]
    files = sorted(kept.iterdir())
    print("| minutes | BLEU | chrF |\n| --- | --- | --- |")
    for file in [*files[:: max(1, len(files) // points)][:-1], files[-1]]:
        model = task.model()
        model.load_state_dict(read_tensors(file)[0])
        scores = task.score(predict_rows(task, model.eval(), prepared.encoded, rows), answers)
        print(f"| {float(file.stem) / 60:.1f} | {scores['bleu']:.2f} | {scores['chrf']:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--only", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    for name in asked.only:
        for seed in range(asked.seeds):
            with tempfile.TemporaryDirectory() as folder:
                run_path, kept, done = Path(folder, "run"), Path(folder, "kept"), threading.Event()
                kept.mkdir()
                watch = threading.Thread(target=keep_weights, args=(run_path, kept, done))
                watch.start()
                started, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
                run = snowball.train(str(asked.data / name), {**SETS[name], "seed": seed}, output=run_path)
                done.set()
                watch.join()
                seconds = time.perf_counter() - started
                cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime - cpu
                found = ", ".join(f"{metric} {run.metrics[metric]:.4f}" for metric in SHOWN if metric in run.metrics)
                print(f"{name}, seed {seed}: {found}; {seconds:.0f} s ({cpu:.0f} s of processor)", flush=True)
                if name == "multi30k":
                    curve(run, kept)


if __name__ == "__main__":
    main()
