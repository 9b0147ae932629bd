"""Sound, lips and both on the sample `talking`: what docs/benchmarks.md says under Speech films.

    python benchmarks/speech_films.py [--out DIR] [--epochs N] [--seed N] [--only audio video both]

Three networks of one size are trained on the same rows, with the same noise: on sound, on lips, and on both. All are
scored on the same test rows, clean and with noise as loud as the speech (0 dB), which is drawn by row, so that all
hear the same. The one that has both is scored with each stream removed, too.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from snowball.collect.prepare import prepare_run
from snowball.display import Display
from snowball.evaluate import predict_rows
from snowball.kinds._sound_augment import with_noise
from snowball.kinds.audio import PADDING
from snowball.kinds.lips import PADDING as NO_FRAME
from snowball.rng import SampleRandom
from snowball.run import Run
from snowball.training.train import train

STREAMS = {"audio": "audio", "video": "video", "both": "audio,video"}
NOISE = (None, 0.0)


def wer(run: Run, decibels: float | None, removed: str | None = None) -> float:
    """The word error rate on the run's test rows, with noise so far below the speech, and without one stream."""
    prepared = prepare_run(run, Display(quiet=True))
    task, rows = prepared.task, torch.as_tensor(prepared.splits["test"])

    def change(batch: Any) -> dict[str, torch.Tensor]:
        inputs = dict(batch.inputs)
        if "audio" in inputs and decibels is not None:
            level = torch.full((len(batch), 1), decibels)
            inputs["audio"] = with_noise(inputs["audio"], PADDING, level, SampleRandom(5, 0, batch.index))
        if removed is not None:
            inputs[removed] = torch.full_like(inputs[removed], PADDING if removed == "audio" else NO_FRAME)
        return inputs

    predictions = predict_rows(task, run.model(), prepared.encoded, rows, change)
    answers = [answer for _, answer in task.data("test")]
    return task.score(predictions, answers)["wer"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/speech-films"))
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=STREAMS, default=list(STREAMS))
    asked = parser.parse_args()
    figures: dict[str, float] = {}
    for name in asked.only:
        run, begun = asked.out / name, time.perf_counter()
        if not (run / "manifest.json").is_file():
            keys: dict[str, Any] = {"inputs": STREAMS[name], "preflight": False, "train.seed": asked.seed}
            keys |= {} if name == "video" else {"augment.speed": 0.0}
            keys |= {} if asked.epochs is None else {"epochs": asked.epochs}
            train("talking", keys, output=run)
            print(f"{name}: trained in {time.perf_counter() - begun:.0f} s", flush=True)
        for decibels in NOISE[: 1 if name == "video" else 2]:
            figures[f"{name} {'clean' if decibels is None else f'{decibels:g} dB'}"] = wer(Run(run), decibels)
    if "both" in asked.only:
        both = Run(asked.out / "both")
        figures |= {"both, lips removed, clean": wer(both, None, "video")}
        figures |= {"both, lips removed, 0 dB": wer(both, 0.0, "video")}
        figures |= {"both, sound removed": wer(both, None, "audio")}
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
