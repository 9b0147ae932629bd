"""Thin cracks in concrete (3 pixels of 100): a fully convolutional segmenter with focal loss and a prior in its last bias."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance", "output-bias", "init-scale", "wrong-loss")

H = 32
PRIOR = 0.03


def slabs(n, seed):
    """A crack wanders from edge to edge through two slabs of three; pores and stains look like bits of it."""
    g = np.random.default_rng(seed)
    x, y = np.zeros((n, 1, H, H)), np.zeros((n, 1, H, H))
    for k in range(n):
        if g.random() < 0.7:
            at, slope = g.uniform(6, H - 6), g.normal(0, 0.5)
            path = at + np.cumsum(slope + g.normal(0, 0.6, H))
            cols = np.arange(H)[(path >= 0) & (path < H)]
            y[k, 0, path[cols].astype(int), cols] = 1
            if g.random() < 0.5:
                y[k, 0] = y[k, 0].T.copy()
        pores = gaussian_filter((g.random((H, H)) < 0.008).astype(float), 0.7) * 3
        stain = gaussian_filter(g.normal(size=(H, H)), 3) * 1.2
        x[k, 0] = stain - pores - 0.9 * gaussian_filter(y[k, 0], 0.5) + g.normal(0, 0.2, (H, H))
    return TensorDataset(torch.tensor(x / 0.4).float(), torch.tensor(y).float())


class Segmenter(nn.Module):
    def __init__(self, c=16):
        super().__init__()
        self.layers = nn.ModuleList()
        for _i, (a, d) in enumerate([(1, 1), (c, 1), (c, 2), (c, 4)]):
            self.layers.append(nn.Conv2d(a, c, 3, padding=d, dilation=d))
        self.out = nn.Conv2d(c, 1, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.constant_(self.out.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            h = torch.relu(layer(x))
            x = h if i == 0 else x + h
        return self.out(x)


def focal(logits, y, alpha=0.75, gamma=1.5):
    """Lin et al. 2017, over the number of crack pixels."""
    ce = nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    p = torch.exp(-ce)
    weight = torch.where(y > 0, alpha, 1 - alpha)
    return (weight * (1 - p) ** gamma * ce).sum() / y.sum().clamp(min=1)


@torch.no_grad()
def f1(model, loader):
    model.eval()
    tp = fp = fn = 0
    for x, y in loader:
        p, y = model(x) > 0, y > 0
        tp, fp, fn = tp + (p & y).sum().item(), fp + (p & ~y).sum().item(), fn + (~p & y).sum().item()
    return 2 * tp / max(2 * tp + fp + fn, 1)


def build(seed=0):
    torch.manual_seed(seed)
    net = Segmenter()
    return {
        "model": net,
        "loss": focal,
        "train": DataLoader(slabs(500, 10), 16, shuffle=True),
        "val": DataLoader(slabs(120, 11), 60),
        "optimizer": torch.optim.Adam(net.parameters(), lr=3e-3),
        "evaluate": f1,
        "epochs": 10,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return f1(model, DataLoader(slabs(300, 12), 60))
