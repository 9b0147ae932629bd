"""Boxes from scratch: the sample of shapes and BCCD's blood cells, by `snowball train` with the default recipe.

    python benchmarks/detection.py [--data DIR] [--only bccd] [key=value ...]

Weights are chosen on the validation split; the test split is scored once, by COCO's evaluation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def train(source: str, keys: list[str], output: Path) -> dict[str, float]:
    """Metrics on the test split, and the seconds of the whole command."""
    words = [sys.executable, "-m", "snowball", "train", source, *keys, "-o", str(output), "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.returncode)
    result = json.loads(done.stdout.splitlines()[-1])
    return {**result["metrics"], "seconds": result["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--only", choices=("shapes", "bccd"))
    parser.add_argument("keys", nargs="*", help="recipe keys for all of them")
    asked = parser.parse_args()
    sources = {"shapes": "shapes", "bccd": str(asked.data / "bccd")}
    print("| data | mAP@50 | mAP@50:95 | minutes |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in [asked.only] if asked.only else sources:
            found = train(sources[name], asked.keys, Path(folder, name))
            minutes = found["seconds"] / 60
            print(f"| {name} | {found['map50']:.3f} | {found['map']:.3f} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
