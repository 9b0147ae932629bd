"""Connectionist temporal classification (Graves et al., 2006): a text spelt over frames, with a blank between.

It knows frames alone, not what they are of. B rows, T frames, V tokens of which 0 is the blank, S tokens of a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["BLANK", "Prefix", "align", "beam_tokens", "ctc_nll", "frames_needed", "greedy_tokens"]

BLANK = 0
UNLIKELY = math.log(1e-4)  # of a token at a frame, below which it starts no hypothesis
FEW = 12  # tokens of a frame that are followed, the likeliest
Prefix = tuple[int, ...]


def ctc_nll(logits: Tensor, frames: Tensor, target: Tensor) -> Tensor:
    """(B,) -log p of each row's text: logits (B, T, V), of which row b has frames[b], and target (B, S) padded with 0.

    A text that does not fit its frames gives 0, and no gradient: such rows are refused before they are trained on, but
    one that is played faster may come to it.
    """
    log_probs = logits.float().log_softmax(2).transpose(0, 1)  # (T, B, V)
    lengths = (target != BLANK).sum(1)
    return F.ctc_loss(log_probs, target, frames, lengths, blank=BLANK, reduction="none", zero_infinity=True)


def frames_needed(tokens: Sequence[int]) -> int:
    """The fewest frames that can spell these tokens: a blank has to stand between two that are equal.

    >>> frames_needed([7, 8, 8])
    4
    """
    return len(tokens) + sum(first == second for first, second in pairwise(tokens))


def greedy_tokens(logits: Tensor, frames: Tensor) -> list[list[int]]:
    """The likeliest token of every frame, repeats taken as one, blanks left out.

    >>> logits = torch.nn.functional.one_hot(torch.tensor([[3, 3, 0, 3, 2]]), 4).float()
    >>> greedy_tokens(logits, torch.tensor([4]))
    [[3, 3]]
    """
    best = logits.argmax(2)  # (B, T)
    inside = torch.arange(best.shape[1], device=best.device) < frames[:, None]
    best = best.masked_fill(~inside, BLANK)
    changes = F.pad(best[:, 1:] != best[:, :-1], (1, 0), value=True)
    kept = changes & (best != BLANK)
    return [row[keep].tolist() for row, keep in zip(best.cpu(), kept.cpu(), strict=True)]


def beam_tokens(
    log_probs: np.ndarray, beams: int, prior: Callable[[list[Prefix]], list[float]] | None = None
) -> list[int]:
    """The likeliest text over all its alignments, by prefix beam search (Hannun et al., 2014): log_probs (T, V).

    `prior` gives what a language model adds to the log probability of each prefix, all of it at once.
    """
    minus = -math.inf
    live: dict[Prefix, tuple[float, float]] = {(): (0.0, minus)}  # log p of ending in a blank, and in its last token
    said: dict[Prefix, float] = {(): 0.0}
    for frame in log_probs:
        likely = [int(token) for token in np.argsort(-frame)[:FEW] if frame[token] > UNLIKELY and token != BLANK]
        grown: dict[Prefix, tuple[float, float]] = {}

        def add(prefix: Prefix, blank: float, token: float, grown: dict[Prefix, tuple[float, float]] = grown) -> None:
            held = grown.get(prefix, (minus, minus))
            grown[prefix] = float(np.logaddexp(held[0], blank)), float(np.logaddexp(held[1], token))

        for prefix, (blank, last) in live.items():
            whole = float(np.logaddexp(blank, last))
            add(prefix, whole + float(frame[BLANK]), last + float(frame[prefix[-1]]) if prefix else minus)
            for token in likely:
                start = blank if prefix and prefix[-1] == token else whole  # a repeat needs a blank before it
                if start > minus:
                    add((*prefix, token), minus, start + float(frame[token]))
        if prior is not None and (new := [prefix for prefix in grown if prefix not in said]):
            said.update(zip(new, prior(new), strict=True))
        ranked = sorted(grown, key=lambda p: float(np.logaddexp(*grown[p])) + said.get(p, 0.0), reverse=True)
        live = {prefix: grown[prefix] for prefix in ranked[:beams]}
    return list(next(iter(live)))


def align(log_probs: np.ndarray, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Where the likeliest alignment spells each token: its first frame and the one after its last; log_probs (T, V).

    Empty where the frames are too few for the tokens.
    """
    num = len(log_probs)
    if not tokens or frames_needed(tokens) > num:
        return []
    states = np.zeros(2 * len(tokens) + 1, dtype=np.int64)  # blank, token, blank, ...
    states[1::2] = tokens
    skips = np.zeros(len(states), dtype=bool)  # from the token before, past the blank
    skips[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    back = np.zeros((num, len(states)), dtype=np.int8)
    for at in range(1, num):
        one = np.concatenate([[-np.inf], score[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], score[:-2]]), -np.inf)
        choices = np.stack([score, one, two])
        back[at] = choices.argmax(0)
        score = choices.max(0) + log_probs[at, states]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    path = np.zeros(num, dtype=np.int64)
    for at in range(num - 1, -1, -1):
        path[at] = state
        state -= back[at, state]
    return [
        (int(held[0]), int(held[-1]) + 1) for k in range(len(tokens)) if len(held := np.flatnonzero(path == 2 * k + 1))
    ]
