"""Networks for text: classifiers, language models, and encoders with decoders. Token 0 is padding everywhere.

Shapes: B rows, L or T tokens, S source tokens, V vocabulary, D width, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..recipe import Section
from .attention import Decoder, Encoder, init_transformer, sinusoids
from .recurrent import Attend, Recurrent, TwoWay

__all__ = [
    "NetworkSection",
    "RecurrentLanguageModel",
    "RecurrentTranslator",
    "TextClassifier",
    "TransformerLanguageModel",
    "TransformerTranslator",
    "classifier_body",
]


class NetworkSection(Section):
    """The size of a network for sequences. What is left out suits the network and the task."""

    key = "network"

    layers: int | None = Field(None, ge=1, le=100)
    """Layers; of an encoder and a decoder each."""
    width: int | None = Field(None, ge=1)
    """Features of a token between the layers."""
    heads: int | None = Field(None, ge=1)
    """Attention heads of a Transformer; they divide the width."""
    hidden: int | None = Field(None, ge=1)
    """Features inside a Transformer's perceptron (default: 4 x width), of a recurrent cell, or maps of each filter size
    of a convolution."""


# Classifiers


def lengths_of(tokens: Tensor) -> Tensor:
    """(B,) tokens of each row; at least 1, so that a row of nothing but padding is well defined."""
    return (tokens != 0).sum(1).clamp(min=1)


def inside(tokens: Tensor) -> Tensor:
    """(B, L) true for the tokens of each row, and for the first in any case."""
    return torch.arange(tokens.shape[1], device=tokens.device) < lengths_of(tokens)[:, None]


def mean_inside(x: Tensor, mask: Tensor) -> Tensor:
    """(B, L, D), (B, L) -> (B, D): the mean over what is inside."""
    return (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


class TextClassifier(nn.Module):
    """Embeddings, a body from (B, L, D) and the tokens to features (B, F), dropout, and one logit a class."""

    def __init__(self, vocab: int, width: int, body: nn.Module, features: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width, padding_idx=0)
        nn.init.uniform_(
            self.embedding.weight, -0.25, 0.25
        )  # as Kim, 2014, section 3.1, for words that are not pretrained
        with torch.no_grad():
            self.embedding.weight[0] = 0
        self.body = body
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.drop(self.body(self.embedding(text), text)))}


class WordFilters(nn.Module):
    """Convolutions over 3, 4 and 5 words and the largest response of each (Kim, 2014)."""

    SIZES = (3, 4, 5)

    def __init__(self, width: int, maps: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv1d(width, maps, size, padding=size - 1) for size in self.SIZES)
        self.num_features = maps * len(self.SIZES)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        mask = inside(tokens)
        x = (x * mask[:, :, None]).transpose(1, 2)  # (B, D, L)
        found = []
        for size, filters in zip(self.SIZES, self.filters, strict=True):
            # A filter may begin before a row and end behind it, but has to touch it: else padding would respond.
            touches = F.pad(mask, (0, size - 1), value=False) | F.pad(mask, (size - 1, 0), value=False)
            response = filters(x).masked_fill(~touches[:, None], -torch.inf)
            found.append(response.amax(2))
        return F.relu(torch.cat(found, 1))


class RecurrentBody(nn.Module):
    """Two-way LSTM or GRU layers; the largest and the mean response over a row."""

    def __init__(self, cell: str, width: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.layers = TwoWay(cell, width, hidden, layers, dropout)
        self.num_features = 4 * hidden

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        mask = inside(tokens)
        x = self.layers(self.drop(x), lengths_of(tokens))
        return torch.cat([x.masked_fill(~mask[:, :, None], -torch.inf).amax(1), mean_inside(x, mask)], 1)


class TransformerBody(nn.Module):
    """A Transformer encoder; the mean over a row."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float, longest: int) -> None:
        super().__init__()
        self.position: Tensor
        self.register_buffer("position", sinusoids(longest, width), persistent=False)
        self.encoder = Encoder(layers, width, heads, hidden, dropout)
        self.drop = nn.Dropout(dropout)
        self.num_features = width
        init_transformer(self.encoder, layers)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        mask = inside(tokens)
        x = self.drop(x + 0.1 * self.position[: x.shape[1]])  # of the size of the embeddings' entries
        return mean_inside(self.encoder(x, mask[:, None, None]), mask)


def classifier_body(
    name: str, width: int, layers: int, heads: int, hidden: int, dropout: float, longest: int
) -> WordFilters | RecurrentBody | TransformerBody:
    if name == "cnn":
        return WordFilters(width, hidden)
    if name == "transformer":
        return TransformerBody(layers, width, heads, hidden, dropout, longest)
    return RecurrentBody(name, width, hidden, layers, dropout)


# Language models: forward(text) for training, step(tokens, cache) for going on from what was read before.


class TransformerLanguageModel(nn.Module):
    """GPT-2's architecture: learned positions, pre-norm blocks, the head tied to the embedding."""

    def __init__(
        self, vocab: int, context: int, layers: int, width: int, heads: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.position = nn.Parameter(torch.zeros(context, width))
        self.drop = nn.Dropout(dropout)
        self.decoder = Decoder(layers, width, heads, hidden, dropout, cross=False)
        init_transformer(self, layers)

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        x = self.decoder(self.drop(self.embedding(text) + self.position[: text.shape[1]]))
        return {"logits": F.linear(x, self.embedding.weight)}

    def empty_cache(self, rows: Tensor) -> Tensor:
        return self.decoder.empty_cache(rows)

    def step(self, tokens: Tensor, cache: Tensor) -> dict[str, Tensor]:
        place = torch.arange(tokens.shape[1], device=tokens.device) + cache.shape[4]
        x, cache = self.decoder.step(self.embedding(tokens) + self.position[place], cache)
        return {"logits": F.linear(x, self.embedding.weight), "cache": cache}


class RecurrentLanguageModel(nn.Module):
    """Embedding, recurrent layers, and the head tied to the embedding."""

    def __init__(self, cell: str, vocab: int, layers: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.layers = Recurrent(cell, width, width, layers, dropout)
        self.bias = nn.Parameter(torch.zeros(vocab))

    def forward(self, text: Tensor) -> dict[str, Tensor]:
        return {"logits": self.step(text, self.empty_cache(text))["logits"]}

    def empty_cache(self, rows: Tensor) -> Tensor:
        return self.layers.empty_state(rows)

    def step(self, tokens: Tensor, cache: Tensor) -> dict[str, Tensor]:
        x, state = self.layers(self.drop(self.embedding(tokens)), cache)
        return {"logits": F.linear(self.drop(x), self.embedding.weight, self.bias), "cache": state}


# Translation: forward(source, target) for training; encode(source) once and step(tokens, cache, ...) for each token.


class TransformerTranslator(nn.Module):
    """Encoder and decoder (Vaswani et al., 2017), pre-norm, the head tied to the target's embedding."""

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        longest: int,
        layers: int,
        width: int,
        heads: int,
        hidden: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.scale = width**0.5
        self.source = nn.Embedding(source_vocab, width, padding_idx=0)
        self.target = nn.Embedding(target_vocab, width, padding_idx=0)
        self.position: Tensor
        self.register_buffer("position", sinusoids(longest, width), persistent=False)
        self.drop = nn.Dropout(dropout)
        self.encoder = Encoder(layers, width, heads, hidden, dropout)
        self.decoder = Decoder(layers, width, heads, hidden, dropout, cross=True)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=width**-0.5)
            with torch.no_grad():
                embedding.weight[0] = 0

    def _memory(self, source: Tensor) -> tuple[Tensor, Tensor]:
        mask = inside(source)[:, None, None]
        encoded = self.encoder(self.drop(self.source(source) * self.scale + self.position[: source.shape[1]]), mask)
        return self.decoder.memory(encoded), mask

    def forward(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        memory, mask = self._memory(source)
        x = self.drop(self.target(target) * self.scale + self.position[: target.shape[1]])
        return {"logits": F.linear(self.decoder(x, memory, mask), self.target.weight)}

    def encode(self, source: Tensor) -> dict[str, Tensor]:
        memory, mask = self._memory(source)
        return {"memory": memory, "mask": mask, "cache": self.decoder.empty_cache(source)}

    def step(self, tokens: Tensor, cache: Tensor, memory: Tensor, mask: Tensor) -> dict[str, Tensor]:
        place = torch.arange(tokens.shape[1], device=tokens.device) + cache.shape[4]
        x, cache = self.decoder.step(self.target(tokens) * self.scale + self.position[place], cache, memory, mask)
        return {"logits": F.linear(x, self.target.weight), "cache": cache}


class RecurrentTranslator(nn.Module):
    """A two-way encoder, a decoder that attends to it (Luong et al., 2015), the head tied to the target's embedding."""

    def __init__(
        self, cell: str, source_vocab: int, target_vocab: int, layers: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.source = nn.Embedding(source_vocab, width, padding_idx=0)
        self.target = nn.Embedding(target_vocab, width, padding_idx=0)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=0.1)
            with torch.no_grad():
                embedding.weight[0] = 0
        self.drop = nn.Dropout(dropout)
        self.encoder = TwoWay(cell, width, width // 2, layers, dropout)
        self.decoder = Recurrent(cell, width, width, layers, dropout)
        self.begin = nn.Linear(width, layers * self.decoder.parts * width)
        self.attend = Attend(width)

    def encode(self, source: Tensor) -> dict[str, Tensor]:
        mask = inside(source)
        memory = self.encoder(self.drop(self.source(source)), lengths_of(source))
        state = torch.tanh(self.begin(mean_inside(memory, mask)))
        return {
            "memory": memory,
            "mask": mask,
            "cache": state.unflatten(1, (self.decoder.parts, self.decoder.layers, -1)),
        }

    def step(self, tokens: Tensor, cache: Tensor, memory: Tensor, mask: Tensor) -> dict[str, Tensor]:
        x, state = self.decoder(self.drop(self.target(tokens)), cache)
        x = self.drop(self.attend(x, memory, mask))
        return {"logits": F.linear(x, self.target.weight), "cache": state}

    def forward(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        encoded = self.encode(source)
        return {"logits": self.step(target, encoded["cache"], encoded["memory"], encoded["mask"])["logits"]}
