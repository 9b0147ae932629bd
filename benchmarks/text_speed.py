"""Tokens per second of nanoGPT's CPU setting on tinyshakespeare, Snowball beside its peers, in alternation.

    benchmarks/make_peers.sh                     once: the peers' own environment
    python benchmarks/text_speed.py [--data FILE] [--rounds 3] [--steps 300] [--only snowball nanogpt-style ...]
    python benchmarks/text_speed.py --quality    2,000 steps of each, and the validation loss over the last 10 %

Block 64, batch 12, 4 layers, 4 heads, 128 wide, no dropout, AdamW, clipping at 1. `nanogpt-style` is a loop written in
the style of nanoGPT's train.py, not its code. Each process leaves out its first 100 steps. Printed: medians over all
rounds, and ratios to the first row, median by pairs. An LSTM of about as many parameters stands beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from speed import HERE, PEERS_PYTHON, last_json

TOKENS = 64 * 12  # of a step
SKIPPED = 100  # steps that pay for one-time set-up
GPT = ["model=gpt", "layers=4", "heads=4", "width=128", "network.hidden=512"]
LSTM = ["model=lstm", "layers=2", "width=216"]  # 768,161 parameters; the Transformer has 803,456


def snowball(*network: str) -> Callable[..., dict[str, Any]]:
    """`snowball train` on the first 90 % of the text, validated and tested on the halves of the rest."""

    def run(data: Path, steps: int, seed: int) -> dict[str, Any]:
        text = data.read_text(encoding="utf-8")
        ends = [0, int(0.9 * len(text)), int(0.95 * len(text)), len(text)]
        with tempfile.TemporaryDirectory() as folder:
            for name, begin, end in zip(("train", "val", "test"), ends[:-1], ends[1:], strict=True):
                Path(folder, f"{name}.txt").write_text(text[begin:end], encoding="utf-8")
            keys = [*network, "context=64", "batch_size=12", f"steps={steps}", f"seed={seed}"]
            keys += ["preflight=false", "-o", f"{folder}/run", "--json"]
            result = last_json([sys.executable, "-m", "snowball", "train", folder, *keys])
            log = [json.loads(line) for line in Path(folder, "run", "metrics.jsonl").read_text().splitlines()]
        epochs = [row for row in log if row["event"] == "epoch"]
        steps_logged = [row for row in log if row["event"] == "step" and row["step"] > SKIPPED]
        pairs = pairwise(steps_logged)
        seconds = [
            (b["elapsed"] - a["elapsed"]) / (b["step"] - a["step"]) for a, b in pairs if a["epoch"] == b["epoch"]
        ]
        losses = (epochs[-1]["val_nll"], result["metrics"]["nll"])
        return {"seconds_per_step": seconds, "val_loss": sum(losses) / 2}

    return run


def peer(script: str, *options: str) -> Callable[..., dict[str, Any]]:
    def run(data: Path, steps: int, seed: int) -> dict[str, Any]:
        words = ["--data", str(data), "--max-steps", str(steps), "--seed", str(seed), "--chunk", "20"]
        result = last_json([str(PEERS_PYTHON), str(HERE / "peers" / script), *words, *options])
        return {**result, "seconds_per_step": result["seconds_per_step"][SKIPPED // 20 :]}

    return run


RUNNERS: dict[str, Callable[..., dict[str, Any]]] = {
    "nanogpt-style": peer("nanogpt_style.py"),
    "snowball": snowball(*GPT),
    "snowball, compiled": snowball(*GPT, "compile=true"),
    "nanogpt-style, compiled": peer("nanogpt_style.py", "--compile"),
    "hf-trainer": peer("hf_trainer_gpt.py"),
    "snowball, LSTM": snowball(*LSTM),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = HERE.parents[1] / "shared" / "data" / "tinyshakespeare" / "input.txt"
    parser.add_argument("--data", type=Path, default=shared)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--quality", action="store_true", help="2,000 steps, one round")
    parser.add_argument("--only", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    asked = parser.parse_args()
    rounds, steps = (1, 2000) if asked.quality else (asked.rounds, asked.steps)
    rates: dict[str, list[float]] = {name: [] for name in asked.only}
    losses: dict[str, list[float]] = {name: [] for name in asked.only}
    for seed in range(rounds):
        for name in asked.only:
            result = RUNNERS[name](asked.data, steps, seed)
            rates[name].append(TOKENS / statistics.median(result["seconds_per_step"]))
            losses[name].append(result["val_loss"])
            print(f"round {seed} {name}: {rates[name][-1]:.0f} tokens/s, loss {losses[name][-1]:.4f}", file=sys.stderr)
    first = asked.only[0]
    print(f"| | tokens/s (range) | ratio to {first} | validation loss after {steps} steps |\n| --- | --- | --- | --- |")
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, rates[first], strict=True))
        spread = f"{statistics.median(found):,.0f} ({min(found):,.0f} to {max(found):,.0f})"
        print(f"| {name} | {spread} | {ratio:.3f} | {statistics.median(losses[name]):.4f} |")


if __name__ == "__main__":
    main()
