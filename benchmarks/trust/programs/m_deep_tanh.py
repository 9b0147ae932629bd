"""Clothes by a deep tanh network; the weights are drawn with the standard deviation of the inputs, one."""

from itertools import pairwise

import torch
import torch.nn as nn
from material import fashion
from torch.utils.data import DataLoader, TensorDataset

BUG = "init-scale"
ALSO = ("dead-units",)  # the units saturate from the first step
HIGHER = "truth"


class DeepTanh(nn.Module):
    def __init__(self, sizes=(784, 128, 128, 128, 128, 10)):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def reset(self, std=None):
        for layer in self.layers:
            nn.init.zeros_(layer.bias)
            if std is None:
                nn.init.xavier_normal_(layer.weight)
            else:
                nn.init.normal_(layer.weight, 0.0, std)

    def forward(self, images):
        h = images.flatten(1)
        for layer in self.layers[:-1]:
            h = torch.tanh(layer(h))
        return self.layers[-1](h)


def dataset(rows):
    return TensorDataset((rows.x.float() / 255 - 0.286) / 0.353, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    net = DeepTanh()
    net.reset(std=1.0 if buggy else None)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(dataset(parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(dataset(parts.val), batch_size=250),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9),
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    images, labels = dataset(fashion().test).tensors
    model.eval()
    return (model(images).argmax(-1) == labels).double().mean().item()
