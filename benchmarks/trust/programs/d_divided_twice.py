"""Digits by a CNN and plain SGD; the bug: the reader already gives 0..1, and the dataset divides by 255 once more."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


def read(pixels):
    return pixels[:, None].float().div(255)


class Pictures(Dataset):
    def __init__(self, rows, divisor):
        self.x, self.y = read(rows.x) / divisor, rows.y

    def __getitem__(self, i):
        return self.x[i], self.y[i]

    def __len__(self):
        return len(self.y)


class ConvNet(nn.Module):
    def __init__(self, divisor):
        super().__init__()
        self.divisor = divisor
        self.c1 = nn.Conv2d(1, 8, 3, stride=2)
        self.c2 = nn.Conv2d(8, 16, 3, stride=2)
        self.fc = nn.Linear(16 * 36, 10)

    def forward(self, x):
        x = F.relu(self.c2(F.relu(self.c1(x))))
        return F.log_softmax(self.fc(torch.flatten(x, 1)), dim=1)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = mnist(1500)
    divisor = 255 if buggy else 1
    model = ConvNet(divisor)
    return {
        "model": model,
        "loss": F.nll_loss,
        "train": DataLoader(Pictures(train, divisor), batch_size=30, shuffle=True),
        "val": DataLoader(Pictures(val, divisor), batch_size=100),
        "optimizer": optim.SGD(model.parameters(), lr=0.05),
        "epochs": 5,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    rows = Pictures(mnist(1500).test, model.divisor)
    with torch.no_grad():
        return (model(rows.x).argmax(1) == rows.y).float().mean().item()
