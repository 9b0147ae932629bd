"""Estimates how far clouds of few to many points spread around their centre, with a deep set; a batch is padded to its
largest cloud.

Bug: the mean over a cloud divides by the padded length instead of the number of points that are there."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


def clouds(count, seed):
    """Clouds of 6 to 160 points in 3 dimensions, small ones more often, and the logarithm of their spread."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        points = int(6 * (160 / 6) ** float(torch.rand((), generator=generator)))
        spread = math.exp(0.7 * float(torch.randn((), generator=generator)))
        direction = nn.functional.normalize(torch.randn(points, 3, generator=generator), dim=1)
        distance = spread * torch.empty(points, 1).exponential_(1.0, generator=generator)
        found.append((direction * distance, torch.tensor([math.log(spread)])))
    return found


def collate(rows):
    points = pad_sequence([p for p, _ in rows], batch_first=True)
    lengths = torch.tensor([len(p) for p, _ in rows])
    mask = torch.arange(points.shape[1]) < lengths[:, None]
    return {"points": points, "mask": mask}, torch.stack([y for _, y in rows])


class DeepSet(nn.Module):
    def __init__(self, buggy=False, width=48):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.all = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.buggy = buggy

    def forward(self, points, mask):
        h = self.each(points) * mask.unsqueeze(2)
        mean = h.mean(1) if self.buggy else h.sum(1) / mask.sum(1, keepdim=True)
        return self.all(mean)


def fit(model, loader):
    """R² over all clouds."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(**x), y) for x, y in loader], strict=True))
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = DeepSet(buggy)
    return {
        "model": model,
        "loss": nn.HuberLoss(),
        "train": DataLoader(clouds(2000, 1), 50, shuffle=True, collate_fn=collate),
        "val": DataLoader(clouds(500, 2), 100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": fit,
        "epochs": 10,
    }


def truth(model, seed=0):
    """Clouds come one at a time in use."""
    return fit(model, DataLoader(clouds(1000, 3), 1, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
