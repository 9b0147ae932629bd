"""Pictures per second from JPEG files of 500 x 375 to batches of random crops of 224, against torch's DataLoader.

    python benchmarks/decode.py [--data DIR] [--pictures 2000] [--rounds 3] [--memory-gb G]

The DataLoader has two workers that decode, crop and flip with PIL, as most people write it. Snowball encodes the folder
once and then crops and flips in batches. Its first pass is the encoding and one epoch of batches: `decode and augment`
is what the DataLoader does, too; `with all of prepare` also reads the folder, splits it, learns mean and deviation, and
looks at each picture for the audit (digest, facts, near copies). Later passes are epochs from what it holds: in memory,
or with a small --memory-gb in a file. Rounds alternate; a step of the network is left out of both.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from snowball.collect.encode import encode_table
from snowball.collect.prepare import Prepared, prepare
from snowball.collect.read.archive import extract
from snowball.display import Display
from snowball.kinds.image import ImageKind
from snowball.rng import SampleRandom
from snowball.training.epochs import Epochs
from snowball.training.machine import keep_freed_memory

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "imagenet-sample"
BATCH = 64
WORDS = {
    "loader": "DataLoader, PIL, 2 workers",
    "alone": "first pass, decode and augment",
    "first": "first pass, with all of prepare",
    "later": "later passes",
}


def write_pictures(source: Path, folder: Path, num: int) -> None:
    """Photographs, each cropped at random from one of the source's and saved as a JPEG of 500 x 375."""
    originals = [Image.open(path).convert("RGB") for path in sorted(extract(source / "images.tar").rglob("*.JPEG"))]
    dice = random.Random(0)
    for number in range(num):
        picture = originals[number % len(originals)]
        side = dice.uniform(0.7, 1.0)
        width, height = int(picture.width * side), int(picture.height * side)
        x, y = dice.randint(0, picture.width - width), dice.randint(0, picture.height - height)
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        cut = picture.crop((x, y, x + width, y + height)).resize((500, 375), Image.Resampling.LANCZOS)
        cut.save(place / f"{number:05d}.jpg", quality=90)


class Pictures(Dataset[Any]):
    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.rglob("*.jpg"))
        self.change = v2.Compose(
            [v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32)]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        with Image.open(self.paths[index]) as picture:
            return self.change(picture.convert("RGB"))


def loader_pass(loader: DataLoader[Any]) -> float:
    started = time.perf_counter()
    for batch in loader:
        assert batch.shape[1:] == (3, 224, 224)
    return time.perf_counter() - started


def snowball_prepare(folder: Path, memory_gb: float = 2.0) -> tuple[Prepared, float]:
    keys = {
        "data.memory_gb": memory_gb,
        "image.size": 224,
        "augment.crop": 0.92,
        "augment.flip": 0.5,
        "augment.rotate": 0,
        "augment.scale": 0,
    }
    keys |= {"augment.shift": 0, "train.batch_size": BATCH, "data.val": 0.01, "data.test": 0.01}
    started = time.perf_counter()
    prepared = prepare(str(folder), keys, Display(quiet=True))
    return prepared, time.perf_counter() - started


def snowball_encode(prepared: Prepared) -> float:
    """Seconds to decode and resize all pictures, without what an audit wants to know of them."""
    nothing = {
        "digest": classmethod(lambda cls, value: ""),
        "facts": classmethod(lambda cls, value: {}),
        "sketch": lambda kind, value: None,
    }
    started = time.perf_counter()
    with patch.multiple(ImageKind, **nothing):
        encode_table(prepared.task, prepared.table)
    return time.perf_counter() - started


def snowball_pass(prepared: Prepared, epoch: int) -> float:
    task, encoded = prepared.task, prepared.encoded
    rows = torch.arange(len(prepared.table))
    started = time.perf_counter()
    for step in Epochs(rows, None, task.recipe.train).steps(epoch):
        batch = task.augment(encoded.batch(step), SampleRandom(0, epoch, step))
        assert batch.inputs["image"].shape[1:] == (3, 224, 224)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-gb", type=float, default=2.0)
    asked = parser.parse_args()
    keep_freed_memory()  # as `snowball train` begins; the DataLoader's workers are forked with it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(asked.data, folder, asked.pictures)
        rates: dict[str, list[float]] = {"loader": [], "alone": [], "first": [], "later": []}
        loader = DataLoader(Pictures(folder), BATCH, shuffle=True, num_workers=2, persistent_workers=True)
        loader_pass(loader)  # the workers' start is left out
        for _ in range(asked.rounds):
            rates["loader"].append(asked.pictures / loader_pass(loader))
            prepared, seconds = snowball_prepare(folder, asked.memory_gb)
            rates["first"].append(asked.pictures / (seconds + snowball_pass(prepared, 0)))
            rates["alone"].append(asked.pictures / (snowball_encode(prepared) + snowball_pass(prepared, 0)))
            rates["later"].append(asked.pictures / snowball_pass(prepared, 1))
    print("| | pictures/s (range) | ratio to the DataLoader |\n| --- | --- | --- |")
    for key, words in WORDS.items():
        ratio = statistics.median(a / b for a, b in zip(rates[key], rates["loader"], strict=True))
        middle, low, high = statistics.median(rates[key]), min(rates[key]), max(rates[key])
        print(f"| {words} | {middle:.0f} ({low:.0f} to {high:.0f}) | {ratio:.2f} |")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
