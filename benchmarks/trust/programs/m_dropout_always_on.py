"""Scanned digits with functional dropout, which drops by default, in use as well as in training."""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


class ConvNet(nn.Module):
    def __init__(self, always):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 10)
        self.always = always

    def drop(self, x, p):
        if self.always:
            return F.dropout(x, p)
        return F.dropout(x, p, training=self.training)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.drop(x, 0.25).flatten(1)
        x = self.drop(F.relu(self.fc1(x)), 0.5)
        return self.fc2(x)


def as_images(rows):
    return TensorDataset(rows.x.reshape(-1, 1, 8, 8) / 16, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = ConvNet(always=buggy)
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(as_images(parts.train), batch_size=32, shuffle=True),
        "val": DataLoader(as_images(parts.val), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    images, labels = as_images(digits().test).tensors
    return (model.eval()(images).argmax(1) == labels).float().mean().item()
