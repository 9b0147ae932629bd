"""Peak resident memory: training MNIST, and training on a generated folder of 100,000 pictures.

    python benchmarks/memory.py [--data DIR] [--pictures 100000] [--side 64] [--memory-gb 0.25]

The folder's encoded rows (1.2 GB at 64 x 64 RGB) are far above `data.memory_gb`, so they stay in a file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent


def write_part(folder: Path, side: int, numbers: range) -> None:
    """Noise around a level that is the class."""
    random = np.random.default_rng(numbers.start)
    for i in numbers:
        pixels = random.integers(0, 128, (side, side, 3), dtype=np.uint8) + np.uint8(12 * (i % 10))
        Image.fromarray(pixels).save(folder / str(i % 10) / f"{i:06}.jpg", quality=80)


def peak_mb(*words: str) -> float:
    """Peak resident memory of `snowball train WORDS`, in MB, by the operating system's account of the child."""
    script = (
        "import resource, sys; from snowball.cli import main; code = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, file=sys.stderr); raise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, "train", *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(done.stderr.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "shared" / "data" / "mnist")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--memory-gb", type=float, default=0.25)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keys = ["model=simple_cnn", "augment=none", "epochs=1", "batch_size=128"]
        print(f"MNIST, simple_cnn: {peak_mb(str(asked.data), *keys, '-o', f'{folder}/mnist'):.0f} MB", flush=True)
        root = Path(folder, "pictures")
        for label in range(10):
            (root / str(label)).mkdir(parents=True)
        parts = [range(start, min(start + 1000, asked.pictures)) for start in range(0, asked.pictures, 1000)]
        with ProcessPoolExecutor() as pool:
            list(pool.map(partial(write_part, root, asked.side), parts))
        words = [str(root), *keys, f"memory_gb={asked.memory_gb}", "-o", f"{folder}/run"]
        print(f"{asked.pictures:,} pictures, data.memory_gb={asked.memory_gb}: {peak_mb(*words):.0f} MB")


if __name__ == "__main__":
    main()
