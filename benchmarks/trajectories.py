"""Paths of walkers on ETH and UCY, as a user types it: what docs/benchmarks.md says under Trajectories.

    python benchmarks/trajectories.py [--data DIR] [--out DIR] [--only zara1 ...] [--keys KEY=VALUE ...]

Leave one out: each fold is tested on the scene of its name and trained on the others. Weights are chosen on the
validation rows of the fold, which are later parts of the training recordings; the test recording is scored once.
`path.least=2` keeps windows in which two agents are seen in all 20 frames, as Social-GAN does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDS = ("eth", "hotel", "univ", "zara1", "zara2")
SHOWN = ("min_ade", "min_fde", "min_ade_1", "min_fde_1", "miss_rate", "collisions")


def fold(name: str, data: Path, out: Path, keys: list[str]) -> dict[str, dict[str, float]]:
    """Train and test one fold: answer -> metrics, the seconds of all of it among the network's own."""
    words = ["train", str(data / "eth-ucy"), f"fold={name}", "path.least=2", *keys, "-o", str(out / name), "--json"]
    done = subprocess.run([sys.executable, "-m", "snowball", *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    table = json.loads((out / name / "evaluation.json").read_text())["blocks"][0]["content"]
    rows = {row[0]: dict(zip(table["columns"][1:], row[1:], strict=True)) for row in table["rows"]}
    rows["this network"]["seconds"] = found["seconds"]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("trajectories"))
    parser.add_argument("--only", nargs="+", default=FOLDS)
    parser.add_argument("--keys", nargs="*", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in asked.only:
        found[name] = fold(name, asked.data, asked.out, asked.keys)
        for answer, scores in found[name].items():
            shown = " ".join(f"{metric} {scores[metric]:.3f}" for metric in SHOWN)
            seconds = f"; {scores['seconds']:.0f} s" if "seconds" in scores else ""
            print(f"{name}, {answer}: {shown}{seconds}", flush=True)
    for answer in next(iter(found.values())):
        means = {metric: sum(rows[answer][metric] for rows in found.values()) / len(found) for metric in SHOWN}
        print(f"mean, {answer}: " + " ".join(f"{metric} {value:.3f}" for metric, value in means.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
