"""Sound as a user types it: what docs/benchmarks.md says under Sound.

    python benchmarks/audio.py [--data DIR] [--out DIR] [--only features labels speaker letters words yesno-letters yesno]

Hyperparameters were chosen on validation rows; the test rows are scored once, at the end of each training.
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
RUNS = {
    "labels": ("fsdd", "epochs=25"),
    "speaker": ("fsdd", "epochs=12", "hold_out=speaker=george"),
    "letters": ("fsdd", "task=speech-recognition", "epochs=14", "batch_size=32"),
    "words": ("fsdd", "task=speech-recognition", "text.tokens=word", "epochs=12", "batch_size=32"),
    "yesno-letters": ("yesno", "epochs=150"),
    "yesno": ("yesno", "text.tokens=word", "network.layers=1", "network.stride=8", "epochs=60"),
}


def snowball(*words: object) -> dict[str, Any]:
    """One command; the JSON on its last line."""
    command = [sys.executable, "-m", "snowball", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def features() -> None:
    """Seconds of sound whose log-mel features one core computes in a second."""
    import torch

    from snowball.design.spectrum import LogMel
    from snowball.kinds.audio import PADDING

    torch.set_num_threads(1)
    for rate, mels in ((8000, 40), (16000, 80)):
        network = LogMel(rate, mels, 25.0, 10.0, PADDING)
        sound = torch.randint(-3000, 3000, (8, 10 * rate), dtype=torch.int16)
        seconds = []
        with torch.inference_mode():
            for _ in range(10):
                begun, used = time.perf_counter(), time.process_time()
                network(sound)
                seconds.append((time.perf_counter() - begun, time.process_time() - used))
        wall, processor = (min(column) for column in zip(*seconds, strict=True))
        print(f"log-mel, {rate} Hz, {mels} bands: {80 / wall:.0f} x real time ({80 / processor:.0f} of processor time)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("audio"))
    parser.add_argument("--only", nargs="+", default=["features", *RUNS])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if "features" in asked.only:
        features()
    for name, (data, *keys) in RUNS.items():
        if name in asked.only:
            done = snowball("train", asked.data / data, *keys, "preflight=false", "-o", asked.out / name)
            intervals = json.loads((asked.out / name / "evaluation.json").read_text())["metrics"]
            print(f"{name}: {done['metrics']}, {intervals}, {done['seconds']:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
