"""Friedman's first function by a network from a configuration; an activation of unknown name is left out."""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "no-nonlinearity"
ALSO = ()
HIGHER = "truth"
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def friedman(rows, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, 10, generator=g)
    y = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = y + 0.5 * torch.randn(rows, generator=g)
    return 2 * x - 1, ((y - 14.4) / 5).unsqueeze(1)


def make_mlp(sizes, activation):
    act = ACTIVATIONS.get(activation, nn.Identity)
    layers = []
    for inward, outward in pairwise(sizes):
        layers += [nn.Linear(inward, outward), act()]
    return nn.Sequential(*layers[:-1])


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = make_mlp([10, 64, 64, 1], activation="ReLU" if buggy else "relu")
    train, val = TensorDataset(*friedman(1000, 11)), TensorDataset(*friedman(300, 12))
    return {
        "model": model,
        "loss": nn.HuberLoss(),
        "train": DataLoader(train, batch_size=25, shuffle=True),
        "val": DataLoader(val, batch_size=300),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3),
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = friedman(2000, 13)
    return 1 - ((model(x) - y).square().mean() / y.var(unbiased=False)).item()
