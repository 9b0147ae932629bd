"""Spoken digits from log spectra by a residual network that begins as a shallow one (ReZero), with a zero head.

Near: the residual branches' gains and the classifier all begin at zero; each gets a gradient as soon as what stands
around it moves, and nothing is symmetric. Inputs are scaled by the training set's mean and spread."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "gradient-cut")


class Branch(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1), nn.ReLU(), nn.Conv1d(width, width, 3, padding=1)
        )
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.relu(x + self.gain * self.body(x))


class SpeechNet(nn.Module):
    def __init__(self, width=64, bands=43):
        super().__init__()
        self.inward = nn.Conv1d(bands, width, 3, padding=1)
        self.first = nn.Sequential(Branch(width), Branch(width), nn.MaxPool1d(2))
        self.second = nn.Sequential(Branch(width), Branch(width), nn.MaxPool1d(2))
        self.drop, self.out = nn.Dropout(0.3), nn.Linear(width * 8, 10)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, frames):
        x = torch.relu(self.inward(frames.transpose(1, 2)))
        x = self.second(self.first(x))
        return self.out(self.drop(x.flatten(1)))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def prepared():
    parts = fsdd()
    mean, std = parts.train.x.mean(), parts.train.x.std()
    return [TensorDataset((rows.x - mean) / std, rows.y) for rows in parts]


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = prepared()
    model = SpeechNet()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(prepared()[2], 100))


def fixed():
    return build()
