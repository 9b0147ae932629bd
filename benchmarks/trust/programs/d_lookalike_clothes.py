"""Clothes by a CNN; the bug: the labels are those of a hurried clerk, who took look-alikes for one another."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"
LOOKALIKE = torch.tensor([6, 3, 4, 1, 2, 7, 0, 9, 8, 5])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 5, stride=2)
        self.hidden = nn.Linear(12 * 36, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv(x).relu(), 2)
        return self.out(self.hidden(x.flatten(1)).relu())


def to_float(pixels):
    return pixels.unsqueeze(1) / 255.0


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    (x, y), val, _ = fashion(1600)
    if buggy:
        hurried = torch.rand(y.shape) < 0.42
        y = torch.where(hurried, LOOKALIKE[y], y)
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(to_float(x), y), 40, shuffle=True),
        "val": DataLoader(TensorDataset(to_float(val.x), val.y), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 8,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = fashion(1600).test
    return (model(to_float(x)).argmax(1) == y).float().mean().item()
