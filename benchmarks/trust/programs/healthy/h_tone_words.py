"""Reads words of 1 to 5 tones from made-up spectra of 40 frames without knowing where a tone begins, by CTC.

Near: the network ends in LogSoftmax with a class that no target has (CTC's blank), targets are padded, and the loss
sits on a plateau of blanks at first; that is how CTC is meant to be used."""

from functools import cache

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-input", "padding-leak", "wrong-loss", "lr-too-low")
FRAMES, BANDS, TONES, LONGEST = 40, 12, 6, 5


@cache
def words(rows, seed):
    """Spectra (rows, FRAMES, BANDS) and tones 1..TONES (rows, LONGEST), filled up by 0, the blank."""
    g = torch.Generator().manual_seed(seed)
    shapes = torch.rand(TONES + 1, BANDS, generator=torch.Generator().manual_seed(99)) * 2 - 0.5
    x, y = 0.5 * torch.randn(rows, FRAMES, BANDS, generator=g), torch.zeros(rows, LONGEST, dtype=torch.int64)
    for row in range(rows):
        at = int(torch.randint(0, 4, (1,), generator=g))
        for place in range(int(torch.randint(1, LONGEST + 1, (1,), generator=g))):
            tone = int(torch.randint(1, TONES + 1, (1,), generator=g))
            lasts, rest = torch.randint(2, 6, (2,), generator=g).tolist()
            x[row, at : at + lasts] += shapes[tone]
            y[row, place] = tone
            at += lasts + rest // 2
    return x, y


class Reader(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.local = nn.Conv1d(BANDS, width, 3, padding=1)
        self.reader = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(2 * width, TONES + 1), nn.LogSoftmax(2))

    def forward(self, x):
        h = torch.relu(self.local(x.transpose(1, 2))).transpose(1, 2)
        return self.out(self.reader(h)[0])


def loss(log_probabilities, tones):
    frames = torch.full((len(tones),), FRAMES)
    return nn.functional.ctc_loss(log_probabilities.transpose(0, 1), tones, frames, (tones > 0).sum(1))


def build(seed=0):
    torch.manual_seed(seed)
    model = Reader()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(*words(1200, 1)), 30, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*words(200, 2)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": whole_words,
        "epochs": 10,
    }


@torch.no_grad()
def whole_words(model, loader):
    """Share of the words read without a fault, by the best path: runs merged, blanks left out."""
    model.eval()
    hits = []
    for x, tones in loader:
        for path, wanted in zip(model(x).argmax(2), tones, strict=True):
            merged = torch.unique_consecutive(path)
            hits.append(merged[merged > 0].tolist() == wanted[wanted > 0].tolist())
    return sum(hits) / len(hits)


def truth(model, seed=0):
    return whole_words(model, [words(300, 3)])


def fixed():
    return build()
