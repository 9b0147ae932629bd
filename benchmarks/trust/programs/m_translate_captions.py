"""Translates short English captions into German with a GRU encoder and a GRU decoder under teacher forcing.

Bug: the decoder is called without the encoder's state, so it writes German captions that know nothing of the English."""

import torch
from material import PAD, multi30k
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader

BUG = "input-ignored"
ALSO = ()
HIGHER = "truth"
WORDS = 600
EDGE = WORDS  # one more id, which opens and ends every German sentence


class Translator(nn.Module):
    def __init__(self, told=True, width=64, hidden=128):
        super().__init__()
        self.told = told
        self.english = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.german = nn.Embedding(WORDS + 1, width, padding_idx=PAD)
        self.encoder = nn.GRU(width, hidden, batch_first=True)
        self.decoder = nn.GRU(width, hidden, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(hidden, WORDS + 1)

    def forward(self, source, written):
        lengths = (source != PAD).sum(1)
        packed = pack_padded_sequence(self.drop(self.english(source)), lengths, batch_first=True, enforce_sorted=False)
        _, state = self.encoder(packed)
        written = self.drop(self.german(written))
        states, _ = self.decoder(written, state) if self.told else self.decoder(written)
        return self.head(self.drop(states))


def pairs(rows):
    written = torch.cat([torch.full((len(rows.y), 1), EDGE), rows.y], 1)
    following = torch.cat([rows.y, torch.full((len(rows.y), 1), PAD)], 1)
    following[torch.arange(len(rows.y)), (rows.y != PAD).sum(1)] = EDGE
    return [((x, w), y) for x, w, y in zip(rows.x, written, following, strict=True)]


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=PAD)


@torch.no_grad()
def evaluate(model, loader):
    """Share of the German words that are foreseen, given those before."""
    model.eval()
    right = words = 0
    for inputs, targets in loader:
        real = targets != PAD
        right += (model(*inputs).argmax(2) == targets)[real].sum().item()
        words += real.sum().item()
    return right / words


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = multi30k(4000, WORDS)
    model = Translator(told=not buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            pairs(parts.train), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(pairs(parts.val), batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(pairs(multi30k(4000, WORDS).test), batch_size=128))


def setup():
    return build(True)


def fixed():
    return build(False)
