"""Texts as one flat list of words and where each text begins, as `nn.EmbeddingBag` takes them.

B texts of at most L words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Jagged"]

NOTHING = -100  # behind a text's words, where no word has it


@dataclass(frozen=True)
class Jagged:
    """Where the words and the begins stand among a batch's inputs, a dict or a tuple."""

    words: Any
    begins: Any

    @classmethod
    def of(cls, inputs: Any, targets: Any) -> Jagged | None:
        """Such inputs, told by their begins: as many as targets, from 0, never falling, within the words.

        >>> Jagged.of({"text": torch.tensor([5, 9, 2]), "offsets": torch.tensor([0, 2])}, torch.tensor([1, 0]))
        Jagged(words='text', begins='offsets')
        """
        if not isinstance(targets, Tensor) or targets.dim() == 0:
            return None
        parts = dict(inputs.items() if isinstance(inputs, Mapping) else enumerate(_listed(inputs)))
        flat = {key: t for key, t in parts.items() if isinstance(t, Tensor) and t.dim() == 1 and _whole(t)}
        if len(parts) != 2 or len(flat) != 2:
            return None
        for begins, words in (tuple(flat), tuple(flat)[::-1]):
            begin, long = flat[begins], len(flat[words])
            if len(begin) == len(targets) < long and begin[0] == 0 and bool((begin.diff() >= 0).all()):
                return cls(words, begins) if int(begin[-1]) <= long else None
        return None

    def padded(self, inputs: Any) -> Any:
        """The same make with a table of words, (B, L), in place of the flat list, and without the begins; such stay.

        >>> texts = {"text": torch.tensor([5, 9, 2]), "offsets": torch.tensor([0, 2])}
        >>> Jagged("text", "offsets").padded(texts)
        {'text': tensor([[   5,    9],
                [   2, -100]])}
        """
        if len(inputs) == 1:
            return inputs
        words, begins = inputs[self.words], inputs[self.begins]
        ends = torch.cat([begins[1:], begins.new_tensor([len(words)])])
        texts = [words[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        table = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=NOTHING)
        return {self.words: table} if isinstance(inputs, Mapping) else (table,)

    def flat(self, inputs: Any) -> Any:
        """What `padded` was given.

        >>> Jagged(0, 1).flat((torch.tensor([[5, 9], [2, -100]]),))
        (tensor([5, 9, 2]), tensor([0, 2]))
        """
        table = inputs[self.words] if isinstance(inputs, Mapping) else inputs[0]
        inside = table != NOTHING
        begins = inside.sum(1).cumsum(0).roll(1)
        begins[0] = 0
        if isinstance(inputs, Mapping):
            return {self.words: table[inside], self.begins: begins}
        return (table[inside], begins) if self.words == 0 else (begins, table[inside])


def _listed(inputs: Any) -> Sequence[Any]:
    return inputs if isinstance(inputs, tuple | list) else ()


def _whole(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() and tensor.dtype != torch.bool and len(tensor) > 0
