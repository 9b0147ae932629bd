"""Clothes by a plain convolutional stack; every weight is drawn with a deviation of 0.01, whatever its fan."""

from itertools import pairwise

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "init-scale"
ALSO = ()
HIGHER = "truth"


def weights_init(m):
    if isinstance(m, nn.Conv2d | nn.Linear):
        m.weight.data.normal_(0.0, 0.01)
        m.bias.data.fill_(0)


def weights_init_he(m):
    if isinstance(m, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        m.bias.data.fill_(0)


def stack():
    channels = [1, 16, 16, 24, 24, 32]
    layers = []
    for i, (a, b) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(a, b, 3, stride=2 if i % 2 == 0 else 1, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 16, 10))


def to_loader(rows, **how):
    return DataLoader(TensorDataset(rows.x.unsqueeze(1) / 127.5 - 1, rows.y), batch_size=50, **how)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = fashion()
    net = stack().apply(weights_init if buggy else weights_init_he)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": to_loader(data.train, shuffle=True),
        "val": to_loader(data.val),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    hits = [(model(x).argmax(1) == y).sum() for x, y in to_loader(fashion().test)]
    return sum(hits).item() / 1000
