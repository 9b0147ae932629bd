"""Copy: hear up to six symbols, then say them again; an encoder, a decoder and teacher forcing.

Close to `target-leak` and `time-leak`: the decoder is given the target, one step late, and the encoder reads both ways.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("target-leak", "time-leak", "padding-leak")
SYMBOLS, LONGEST = 10, 6


def said(n, seed):
    """Heard (N, 6), given to the decoder (N, 7) behind a begin, and said (N, 7) before an end; 0 pads."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, LONGEST + 1, (n, 1), generator=g)
    heard = torch.randint(3, 3 + SYMBOLS, (n, LONGEST), generator=g) * (torch.arange(LONGEST) < lengths)
    given = nn.functional.pad(heard, (1, 0), value=1)
    target = nn.functional.pad(heard, (0, 1)).scatter(1, lengths, 2)
    return [((h, g_), t) for h, g_, t in zip(heard, given, target, strict=True)]


class Again(nn.Module):
    def __init__(self, dim=24, hidden=64):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS + 3, dim, padding_idx=0)
        self.encoder = nn.GRU(dim, hidden, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(dim, 2 * hidden, batch_first=True)
        self.out = nn.Linear(2 * hidden, SYMBOLS + 3)

    def forward(self, heard, given):
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embed(heard), (heard > 0).sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, last = self.encoder(packed)
        h, _ = self.decoder(self.embed(given), torch.cat([last[0], last[1]], 1)[None])
        return self.out(h)


def loss(logits, target):
    return nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=0)


def build(seed=0):
    torch.manual_seed(seed)
    model = Again()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(said(2000, 1), batch_size=50, shuffle=True),
        "val": DataLoader(said(200, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 8,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """Symbols right without a teacher."""
    right = total = 0
    for (heard, _), target in DataLoader(said(300, 3), batch_size=300):
        given = torch.ones(len(heard), 1, dtype=torch.int64)
        for _ in range(LONGEST + 1):
            given = torch.cat([given, model(heard, given)[:, -1:].argmax(2)], 1)
        right += ((given[:, 1:] == target) & (target > 0)).sum().item()
        total += (target > 0).sum().item()
    return right / total
