"""Steering offline and in the closed loop, as a user types it: what docs/benchmarks.md says under Steering.

    python benchmarks/driving.py [--data DIR] [--out DIR] [--only offline closed]

`offline` trains on driving-sim with and without balancing the zero angles, with and without the side cameras; weights
are chosen on validation rows. `closed` records thirty tracks by script, trains, and drives the ten test tracks; it
needs the extra `sim`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OFFLINE = {
    "defaults": ("epochs=10",),
    "zeros=0.3": ("epochs=10", "steering.zeros=0.3"),
    "delta=0.1": ("epochs=15", "number.delta=0.1"),
    "delta=0.1, no sides": ("epochs=12", "number.delta=0.1", "steering.sides=false"),
    "delta=0.5, no sides, augmented": (
        *("epochs=25", "number.delta=0.5", "steering.sides=false"),
        *("augment.colour=0.3", "augment.shift=0.03"),
    ),
}


def snowball(*words: object) -> dict[str, Any]:
    """One command; the JSON on its last line."""
    command = [sys.executable, "-m", "snowball", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def offline(data: Path, out: Path) -> None:
    for name, keys in OFFLINE.items():
        run = out / name.replace(", ", "-").replace(" ", "-")
        done = snowball("train", data / "driving-sim", *keys, "preflight=false", "-o", run)
        log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        best = [row["val_mae"] for row in log if row["event"] == "epoch" and row["best"]][-1]
        constants = json.loads((run / "evaluation.json").read_text())["blocks"][0]["content"]["rows"]
        print(f"{name}: val mae {best:.4f}, test {done['metrics']}, {done['seconds']:.0f} s; constants {constants[1:]}")


def closed(out: Path) -> None:
    begun = time.perf_counter()
    for words in (
        ("drive", "expert", "-o", out / "frames", "episodes=30"),
        ("train", out / "frames", "epochs=4", "preflight=false", "-o", out / "driver"),
        ("drive", out / "driver"),
    ):
        done = snowball(*words)
        print(f"{words[0]} {words[1]}: {done['metrics']}, {done['seconds']:.0f} s")
    print(f"{[lap['tiles'] for lap in done['laps']]}; {time.perf_counter() - begun:.0f} s in all")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("driving"))
    parser.add_argument("--only", nargs="+", default=["offline", "closed"])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if "offline" in asked.only:
        offline(asked.data, asked.out)
    if "closed" in asked.only:
        closed(asked.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
