"""MNIST by a LeNet; the bug: pixels are divided by 256 as integers, so that every picture is black."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from material import mnist
from torch.utils.data import DataLoader, Dataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


class Digits(Dataset):
    def __init__(self, rows, integers=False):
        pixels = rows.x.unsqueeze(1)
        self.data = (pixels.int() // 256).float() if integers else pixels.float() / 256
        self.targets = rows.y

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return self.data[i], self.targets[i]


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, stride=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = mnist(1500)
    net = LeNet()
    return {
        "model": net,
        "loss": F.cross_entropy,
        "train": DataLoader(Digits(train, integers=buggy), batch_size=30, shuffle=True),
        "val": DataLoader(Digits(val, integers=buggy), batch_size=250),
        "optimizer": torch.optim.Adam(net.parameters(), lr=2e-3),
        "epochs": 5,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = Digits(mnist(1500).test)
    return (model(rows.data).argmax(1) == rows.targets).float().mean().item()
