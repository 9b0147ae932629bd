"""Spoken digits by a GRU; the bug: recordings too quiet are taken out of the sounds, and not out of the labels."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


class SpokenDigits(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(43, 48, batch_first=True)
        self.classify = nn.Sequential(nn.Dropout(0.1), nn.Linear(48, 10))

    def forward(self, frames):
        states = self.rnn(frames / 6 + 1)[0]
        return self.classify(states.mean(1))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fsdd()
    loud = train.x.amax((1, 2)) > -1.0
    x = train.x[loud]
    y = train.y[: len(x)] if buggy else train.y[loud]
    model = SpokenDigits()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=30, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 8,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    model.eval()
    x, y = fsdd().test
    return (model(x).argmax(1) == y).float().mean().item()
