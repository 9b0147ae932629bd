"""What the character-level peers share: nanoGPT's CPU setting, its data as uint16, the schedule and the result.

T tokens in a block, V different characters. No framework is imported here but numpy.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VOCABULARY, BLOCK, BATCH = 65, 64, 12
LAYERS, HEADS, WIDTH = 4, 4, 128
LR, MIN_LR, WARMUP, BETAS, DECAY, CLIP = 1e-3, 1e-4, 100, (0.9, 0.99), 0.1, 1.0

Tokens = NDArray[np.uint16]


class Text(NamedTuple):
    """The first nine tenths to train on and the last tenth to validate on, as numbers of sorted characters."""

    train: Tokens
    val: Tokens


def parser(description: str | None) -> argparse.ArgumentParser:
    """The command line every character-level peer has."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="a text file, e.g. tinyshakespeare's input.txt")
    p.add_argument("--max-steps", type=int, default=2000, help="steps to train; the schedule ends there too")
    p.add_argument("--chunk", type=int, default=50, help="steps timed together")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--no-eval", action="store_true", help="only time: no validation loss at the end")
    p.set_defaults(batch_size=BATCH, epochs=1)
    return p


def load_text(path: Path) -> Text:
    text = path.read_text(encoding="utf-8")
    characters = sorted(set(text))
    if len(characters) != VOCABULARY:
        raise SystemExit(f"{path.name} has {len(characters)} different characters, these peers are for {VOCABULARY}")
    number = {character: index for index, character in enumerate(characters)}
    tokens = np.array([number[character] for character in text], dtype=np.uint16)
    split = int(0.9 * len(tokens))
    return Text(tokens[:split], tokens[split:])


def lr_at(step: int, steps: int) -> float:
    """nanoGPT's get_lr: linear warm-up, then a cosine to the least rate."""
    if step < WARMUP:
        return LR * (step + 1) / (WARMUP + 1)
    ratio = (step - WARMUP) / max(1, steps - WARMUP)
    return MIN_LR + 0.5 * (1 + math.cos(math.pi * min(1.0, ratio))) * (LR - MIN_LR)


def val_blocks(val: Tokens) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All of the validation text in blocks that do not overlap: inputs and targets (n, T)."""
    n = (len(val) - 1) // BLOCK
    whole = val[: n * BLOCK + 1].astype(np.int64)
    return whole[:-1].reshape(n, BLOCK), whole[1:].reshape(n, BLOCK)
