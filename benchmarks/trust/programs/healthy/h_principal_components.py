"""Digits by a small head on frozen principal components: the projection is fitted to the training rows and kept."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters",)


def parts():
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(14))
    x, y = torch.tensor(x, dtype=torch.float32)[order] / 16, torch.tensor(y)[order]
    return [TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 1100), (1100, 1400), (1400, None))]


def fitted_projection(x, rank=24):
    centre = x.mean(0)
    _, s, vh = torch.linalg.svd(x - centre, full_matrices=False)
    weight = vh[:rank] * (len(x) ** 0.5) / s[:rank, None]  # whitened
    layer = nn.Linear(x.shape[1], rank)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(-weight @ centre)
    return layer.requires_grad_(False)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = parts()
    model = nn.Sequential(fitted_projection(train.tensors[0]), nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 10))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=1e-4),
        "epochs": 20,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = parts()[2].tensors
    return (model(x).argmax(1) == y).float().mean().item()
