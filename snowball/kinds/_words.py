"""A tokenized text in words, for an explanation. L tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["words_of_tokens"]

MOST = 128  # pieces of a text


def words_of_tokens(tokenizer: Tokenizer, tokens: Tensor, special: int) -> tuple[list[str], Tensor]:
    """The words of a text, several in one where there are many, and which of them each token (L,) belongs to (L,).

    Tokens are the tokenizer's own numbers, of which those up to `special` stand for no text.
    """
    written = _written(tokenizer, tokens.tolist(), special)
    begins = [0, *(i for i in range(1, len(written)) if written[i][:1].isspace() and not written[i - 1].isspace())]
    begins = begins[:: -(-len(begins) // MOST)]
    ends = [*begins[1:], len(written)]
    of = torch.bucketize(torch.arange(len(written)), torch.tensor(begins), right=True) - 1
    return ["".join(written[first:last]) for first, last in zip(begins, ends, strict=True)], of


def _written(tokenizer: Tokenizer, tokens: Sequence[int], special: int) -> list[str]:
    """What each token adds to the text; one that is no text, such as an unknown word's, is called by its name."""
    written, before = [], ""
    for number, token in enumerate(tokens):
        text = tokenizer.decode([one for one in tokens[: number + 1] if one > special])
        if len(text) > len(before):
            written.append(text[len(before) :])
            before = text
        else:
            written.append(f" {tokenizer.id_to_token(token) if token >= 0 else 'unknown'}")
    return written
