"""Reads strings of four kinds of pulses from a noisy signal with a bidirectional GRU and CTC; score: share read without mistake.

Near: time-leak and batch-mixing are no matter (the whole signal is known); the output is nearly always "blank" at first,
and most frames are blank when all is well; targets are padded by -1 and packed with their lengths."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("output-bias", "time-leak", "wrong-loss", "loss-input")
FRAMES, KINDS = 40, 4


def signals(count, seed):
    """Signals (N, 40, 3) of pulses of varying length; the kinds 1..4 (N, 6), padded by -1."""
    g = torch.Generator().manual_seed(seed)
    shapes = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.8, 0.8, 0]])
    x, y = torch.zeros(count, FRAMES, 3), torch.full((count, 6), -1)
    for row in range(count):
        kinds = torch.randint(KINDS, (int(torch.randint(2, 7, (), generator=g)),), generator=g)
        lasts, gaps = torch.randint(2, 5, (len(kinds),), generator=g), torch.randint(1, 3, (len(kinds),), generator=g)
        place = 0
        for kind, last, gap in zip(kinds.tolist(), lasts.tolist(), gaps.tolist(), strict=True):
            place += gap
            x[row, place : place + last] = shapes[kind]
            place += last
        y[row, : len(kinds)] = kinds + 1
    return x + 0.25 * torch.randn(x.shape, generator=g), y


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 32, batch_first=True, bidirectional=True)
        self.head = nn.Linear(64, KINDS + 1)

    def forward(self, x):
        return self.head(self.gru(x)[0]).log_softmax(2)


def ctc(scores, targets):
    lengths = (targets > 0).sum(1)
    frames = torch.full((len(scores),), scores.shape[1])
    return F.ctc_loss(scores.transpose(0, 1), targets[targets > 0], frames, lengths)


@torch.no_grad()
def exact(model, loader):
    """Share of signals that are read without any mistake."""
    model.eval()
    right = []
    for x, y in loader:
        for path, kinds in zip(model(x).argmax(2), y, strict=True):
            read = path.unique_consecutive()
            right.append(read[read > 0].tolist() == kinds[kinds > 0].tolist())
    return sum(right) / len(right)


def build(seed=0):
    torch.manual_seed(seed)
    model = Reader()
    return {
        "model": model,
        "loss": ctc,
        "train": DataLoader(TensorDataset(*signals(1200, 1)), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*signals(300, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "evaluate": exact,
        "epochs": 5,
    }


def truth(model, seed=0):
    return exact(model, DataLoader(TensorDataset(*signals(500, 3)), batch_size=250))


def fixed():
    return build()
