"""What a language model of characters says of texts that a search compares. N texts, V tokens of the transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..finding import BadInput
from ._ctc import Prefix
from ._tokenizer import UNKNOWN
from .text import TextKind

__all__ = ["Spelling"]

MOST_HELD = 100_000  # prefixes whose log probabilities are kept


class Spelling:
    """A run that predicts the next character, asked for the log probability of prefixes.

    `texts[v]` is what token v of the transcripts stands for. Raises BadInput where the run is no such model.
    """

    def __init__(self, path: str, texts: Sequence[str], weight: float, bonus: float) -> None:
        from ..run import Run

        run = Run(Path(path).expanduser())
        task = run.task()
        kind = task.answer_kind
        if task.causal is None or task.parts != ("step",) or not isinstance(kind, TextKind):
            raise BadInput(f"lm={path}: a run of {task.name}: no language model that goes on character by character")
        numbers = [kind.tokenizer.token_to_id(text) if text else None for text in texts]
        known = [number for number in numbers if number is not None]
        if 2 * len(known) < sum(bool(text) for text in texts):
            raise BadInput(
                f"lm={path}: its tokens are not the characters of these transcripts: train it with text.tokens=char"
            )
        self._tokens = [UNKNOWN if number is None else number + kind.offset for number in numbers]
        begin = next((n for n in map(kind.tokenizer.token_to_id, ("\n", " ")) if n is not None), None)
        self._begin = UNKNOWN if begin is None else begin + kind.offset
        self._model: Any = run.model()
        self._most = task.window
        self._weight, self._bonus = weight, bonus
        self._total: dict[Prefix, float] = {(): 0.0}
        self._after: dict[Prefix, Tensor] = {}  # (V,) log p of every token after a prefix

    def scores(self, prefixes: list[Prefix]) -> list[float]:
        """What each adds to what was heard: weighted log probability, and a bonus a character.

        Each prefix is one that was asked for before, or the empty one, and a token more.
        """
        if len(self._total) > MOST_HELD:
            wanted = {prefix[:num] for prefix in prefixes for num in range(len(prefix))}
            self._total = {prefix: total for prefix, total in self._total.items() if prefix in wanted}
            self._after = {}
        by_length: dict[int, list[Prefix]] = {}
        for parent in dict.fromkeys(prefix[:-1] for prefix in prefixes):
            if parent not in self._after:
                by_length.setdefault(len(parent), []).append(parent)
        for alike in by_length.values():
            self._after.update(zip(alike, self._next(alike), strict=True))
        for prefix in prefixes:
            self._total[prefix] = self._total[prefix[:-1]] + float(self._after[prefix[:-1]][prefix[-1]])
        return [self._weight * self._total[prefix] + self._bonus * len(prefix) for prefix in prefixes]

    @torch.no_grad()
    def _next(self, prefixes: Sequence[Prefix]) -> Tensor:
        """(N, V) log p of every token after prefixes of one length."""
        rows = [[self._begin, *(self._tokens[token] for token in prefix)] for prefix in prefixes]
        tokens = torch.tensor([row[-self._most :] if self._most else row for row in rows])
        logits = self._model.step(tokens=tokens, cache=self._model.empty_cache(tokens))["logits"][:, -1]
        log_probs: Tensor = logits.log_softmax(1)[:, self._tokens]
        return log_probs
