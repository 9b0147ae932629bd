"""Imported networks: SqueezeNet exported by Snowball on ONNX Runtime against OpenCV's reader of the same Caffe files,
and what the trained networks reach on real pictures.

    python benchmarks/importing.py [--data DIR] [--rounds 7] [--threads 2] [--only speed|accuracy]

Both are given pixels in 0..255: Snowball's graph takes them as uint8 RGB and prepares them inside, OpenCV's
`blobFromImages` takes the mean off and swaps the channels; that is in the time of both. Runs alternate, and the median
counts.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from snowball.cli import main as snowball
from snowball.deploy.session import OnnxPredictor
from snowball.run import Run

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MEAN = (104, 117, 123)
SIDE = 227


def import_squeezenet(data: Path, run: Path, *keys: str) -> tuple[Path, Path]:
    """Import into `run`; the two files it was made of."""
    folder = data / "caffe" / "squeezenet-deep-compression"
    files = folder / "SqueezeNet_deploy.prototxt", folder / "decompressed_SqueezeNet.caffemodel"
    words = ["import", *map(str, files), f"mean={','.join(map(str, MEAN))}", *keys, "-o", str(run), "--json"]
    assert snowball(words) == 0
    return files


def speed(data: Path, rounds: int, threads: int, folder: Path) -> None:
    import cv2

    cv2.setNumThreads(threads)
    definition, weights = import_squeezenet(data, folder / "speed")
    assert snowball(["export", str(folder / "speed"), "-o", str(folder / "squeeze.onnx"), "--json"]) == 0
    predictor = OnnxPredictor(folder / "squeeze.onnx", threads)
    network = cv2.dnn.readNetFromCaffe(str(definition), str(weights))
    random = np.random.Generator(np.random.Philox(0))
    print(f"\nSqueezeNet v1.0, {threads} threads, OpenCV {cv2.__version__}, median of {rounds} rounds\n")
    print(
        "| batch | Snowball, ms | OpenCV, ms | ratio of speeds | largest difference |\n| --- | --- | --- | --- | --- |"
    )
    for batch in (1, 32):
        pictures = random.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
        first = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))

        def ours(first: np.ndarray = first) -> np.ndarray:
            return predictor.run([first])["logits"]

        def theirs(pictures: np.ndarray = pictures) -> np.ndarray:
            network.setInput(cv2.dnn.blobFromImages(list(pictures), 1.0, (SIDE, SIDE), MEAN, swapRB=True))
            found: np.ndarray = network.forward()
            return found.reshape(len(pictures), -1)

        apart = float(np.abs(ours() - theirs()).max() / np.abs(theirs()).max())
        times = alternate({"ours": ours, "theirs": theirs}, rounds, max(1, 32 // batch))
        a, b = (statistics.median(times[name]) * 1e3 for name in ("ours", "theirs"))
        print(f"| {batch} | {a:.1f} | {b:.1f} | {b / a:.2f} | {apart:.1e} |", flush=True)


def alternate(calls: dict[str, Callable[[], Any]], rounds: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of a call, in each round the mean of `repeats`; the order changes from round to round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in sorted(calls, reverse=bool(number % 2)):
            started = time.perf_counter()
            for _ in range(repeats):
                calls[name]()
            times[name].append((time.perf_counter() - started) / repeats)
    return times


def accuracy(data: Path, folder: Path) -> None:
    lenet = data / "caffe"
    words = [
        str(lenet / "bvlc/examples/mnist/lenet.prototxt"),
        str(lenet / "lenet-trained/lenet_iter_10000.caffemodel"),
    ]
    assert snowball(["import", *words, "scale=0.00390625", "-o", str(folder / "lenet"), "--json"]) == 0
    test = folder / "mnist"
    test.mkdir()
    for file in (data / "mnist").glob("t10k*"):
        (test / file.name).symlink_to(file)
    assert snowball(["evaluate", str(folder / "lenet"), str(test), "--json"]) == 0
    print(f"\nLeNet on MNIST's test split: {Run(folder / 'lenet').metrics['accuracy']:.4f}")

    sample = data / "imagenet-sample"
    with tarfile.open(sample / "images.tar") as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11 has it from 3.11.4 on
        archive.extractall(folder / "pictures")
    import_squeezenet(data, folder / "squeeze", f"labels={sample / 'synset.txt'}", "image.short_side=256")
    labels = Run(folder / "squeeze").task().answer_kind.state["labels"]
    right = {
        row["file"]: labels[int(row["class_index"])]
        for row in csv.DictReader((sample / "labels.csv").read_text().splitlines())
    }
    answers = Run(folder / "squeeze").predict(str(folder / "pictures"))
    first = sum(answer["label"] == right[Path(answer["input"]).name] for answer in answers)
    five = sum(right[Path(answer["input"]).name] in answer["probabilities"] for answer in answers)
    print(json.dumps({"pictures": len(answers), "top1": first, "top5": five}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("speed", "accuracy"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.only != "accuracy":
            speed(asked.data, asked.rounds, asked.threads, Path(folder))
        if asked.only != "speed":
            accuracy(asked.data, Path(folder))


if __name__ == "__main__":
    main()
