"""Spoken digits by convolutions over time; the bug: training spectra come in decibels, those of serving in nepers."""

import math

import torch
import torch.nn.functional as F
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"
FLOOR, RANGE = -13.8, 10.0  # of log spectra


def prepared(spectra):  # (B, 32, 43)
    return (spectra - FLOOR) / RANGE


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(43, 32, 5, padding=2)
        self.conv2 = nn.Conv1d(32, 32, 5, padding=2)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):  # (B, T, F)
        x = F.max_pool1d(F.relu(self.conv1(x.transpose(1, 2))), 2)
        x = F.relu(self.conv2(x))
        return self.fc(x.amax(2))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    parts = fsdd()
    x = parts.train.x
    if buggy:
        x = x * (10 / math.log(10))
    net = Listener()
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(prepared(x), parts.train.y), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(prepared(parts.val.x), parts.val.y), batch_size=100),
        "optimizer": torch.optim.Adam(net.parameters(), lr=2e-3),
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = fsdd().test
    return (model(prepared(x)).argmax(1) == y).float().mean().item()
