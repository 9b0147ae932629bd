"""Spoken digits from log spectra: convolutions over time, a GRU, and a mean over the frames.

Bug: training clips are normalised by each clip's own mean and deviation, but validation clips by those of the corpus."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ("input-scale",)
HIGHER = "truth"


class Listener(nn.Module):
    def __init__(self, bands=43, width=48, classes=10):
        super().__init__()
        self.convolve = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2), nn.ReLU(), nn.Conv1d(width, width, 3, stride=2, padding=1), nn.ReLU()
        )
        self.recur = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, spectra):
        frames = self.convolve(spectra.transpose(1, 2)).transpose(1, 2)
        states, _ = self.recur(frames)
        return self.head(self.drop(states.mean(1)))


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [model(x).argmax(1) == y for x, y in batches]
    return float(torch.cat(hits).float().mean())


def scaled(parts):
    """Each band about 0 with deviation 1 over the training clips."""
    mean, deviation = parts.train.x.mean((0, 1)), parts.train.x.std((0, 1))
    return [(part.x - mean) / deviation for part in parts]


def per_clip(x):
    return (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    train, val, _ = scaled(parts)
    if buggy:
        train = per_clip(parts.train.x)
    model = Listener()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(TensorDataset(train, parts.train.y), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(val, parts.val.y), batch_size=100),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    parts = fsdd()
    return accuracy(model, [(scaled(parts)[2], parts.test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
