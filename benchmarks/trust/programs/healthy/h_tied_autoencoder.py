"""Autoencoder of scanned digits: its targets are its inputs, and its decoder is its encoder transposed (tied)."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("target-leak",)


class Pictures(Dataset):
    def __init__(self, begin, end):
        x = torch.tensor(load_digits().data, dtype=torch.float32) / 16
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(50))
        self.x = x[order][begin:end]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row], self.x[row]


class Tied(nn.Module):
    def __init__(self, code=12):
        super().__init__()
        self.first, self.second = nn.Linear(64, 96), nn.Linear(96, code)
        self.back = nn.Parameter(torch.zeros(96))
        self.mean = nn.Parameter(torch.full((64,), 0.3))

    def encode(self, x):
        return self.second(F.elu(self.first(x)))

    def forward(self, x):
        h = F.elu(F.linear(self.encode(x), self.second.weight.T, self.back))
        return F.linear(h, self.first.weight.T, self.mean)


@torch.no_grad()
def explained(model, loader):
    model.eval()
    found, x = (torch.cat(c) for c in zip(*((model(x), y) for x, y in loader), strict=False))
    return (1 - (found - x).square().sum() / (x - x.mean(0)).square().sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Tied()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Pictures(0, 1200), batch_size=40, shuffle=True),
        "val": DataLoader(Pictures(1200, 1450), batch_size=125),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 40,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return explained(model, DataLoader(Pictures(1450, None), batch_size=100))
