"""Tells clothes apart with a small CNN whose weights decay and whose biases and norms don't.

Bug: only matrices join the decayed group and only vectors the other; the kernels of the convolutions join none."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ("frozen-parameters",)
HIGHER = "truth"


class ClothesNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(24)
        self.conv3 = nn.Conv2d(24, 32, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(32)
        self.out = nn.Linear(32, 10)

    def forward(self, x):
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x)))
        x = torch.relu(self.norm3(self.conv3(x)))
        return self.out(x.mean((2, 3)))


def decay_groups(model, matrices_only):
    """Weights with decay, vectors (biases, scales and shifts of norms) without."""
    decayed, plain = [], []
    for parameter in model.parameters():
        if parameter.ndim == 2 or (parameter.ndim > 2 and not matrices_only):
            decayed.append(parameter)
        elif parameter.ndim == 1:
            plain.append(parameter)
    return [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def pictures(rows):
    return TensorDataset((rows.x[:, None].float() / 255 - 0.286) / 0.353, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(4000, 500, 1000)
    model = ClothesNet()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(pictures(parts.train), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(pictures(parts.val), 250),
        "optimizer": torch.optim.AdamW(decay_groups(model, matrices_only=buggy), lr=3e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(pictures(material.fashion(4000, 500, 1000).test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
