"""Marks the cells of a 12 by 12 grid in which a faint star lies (one cell in 70), with a focal loss and a head that begins at that rate.

Near: the classes are very unequal and the loss sees to it; the last bias begins at -4 and its weights near zero; the output is logits."""

import math

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, max_pool2d
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance", "output-bias", "init-scale", "loss-input", "wrong-loss", "dead-units")
SIDE, RATE = 48, 2 / 144


def skies(count, seed):
    """Pictures (N, 1, 48, 48) of 0 to 4 blurred stars with streaks and noise; cells (N, 12, 12)."""
    g = torch.Generator().manual_seed(seed)
    rows = torch.arange(SIDE).float()
    sky = 0.35 * torch.randn(count, 1, SIDE, SIDE, generator=g)
    cells = torch.zeros(count, 12, 12)
    for picture, stars in enumerate(torch.randint(0, 5, (count,), generator=g).tolist()):
        for top, left in (4 + (SIDE - 8) * torch.rand(stars, 2, generator=g)).tolist():
            bright = 0.9 + float(torch.rand((), generator=g))
            spot = torch.exp(-((rows[:, None] - top) ** 2 + (rows - left) ** 2) / 3.0)
            sky[picture, 0] += bright * spot
            cells[picture, round(top) // 4, round(left) // 4] = 1
        streak = int(torch.randint(SIDE, (1,), generator=g))
        sky[picture, 0, streak] += 0.7
    return TensorDataset(sky, cells)


def convolution(inward, outward, stride):
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, stride, 1, bias=False), nn.BatchNorm2d(outward), nn.LeakyReLU(0.1)
    )


class Spotter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            convolution(1, 16, 1), convolution(16, 24, 2), convolution(24, 32, 2), convolution(32, 32, 1)
        )
        self.head = nn.Conv2d(32, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.constant_(self.head.bias, math.log(RATE / (1 - RATE)))

    def forward(self, sky):
        return self.head(self.body(sky))[:, 0]


def focal(logits, cells, alpha=0.75, gamma=2.0):
    """Lin et al.'s loss, over the number of stars of the batch as they have it."""
    plain = binary_cross_entropy_with_logits(logits, cells, reduction="none")
    right = torch.exp(-plain)
    weight = torch.where(cells > 0.5, alpha, 1 - alpha)
    return (weight * (1 - right) ** gamma * plain).sum() / cells.sum().clamp(min=1)


def f1(model, loader):
    """Of cells that are peaks among their neighbours; a find counts in the star's cell or beside it."""
    model.eval()
    hit = found = caught = stars = 0.0
    with torch.no_grad():
        for sky, cells in loader:
            logits = model(sky)
            peaks = ((logits > 0) & (logits == max_pool2d(logits[:, None], 3, 1, 1)[:, 0])).float()
            hit += (peaks * max_pool2d(cells[:, None], 3, 1, 1)[:, 0]).sum().item()
            caught += (cells * max_pool2d(peaks[:, None], 3, 1, 1)[:, 0]).sum().item()
            found += peaks.sum().item()
            stars += cells.sum().item()
    precision, recall = hit / max(found, 1), caught / stars
    return 2 * precision * recall / max(precision + recall, 1e-9)


def build(seed=0):
    torch.manual_seed(seed)
    model = Spotter()
    train = DataLoader(skies(700, 1), 16, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(seed))
    epochs = 5
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": focal,
        "train": train,
        "val": DataLoader(skies(150, 2), 50),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train)),
        "scheduler_step": "batch",
        "evaluate": f1,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return f1(model, DataLoader(skies(300, 3), 50))


def fixed():
    return build()
