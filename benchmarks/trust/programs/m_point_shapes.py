"""Which of five solids a cloud of 48 points was scanned from: a PointNet, trained by a one-cycle schedule.

Bug: the schedule counts batches and is stepped once an epoch, so that it stays at its low beginning."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
POINTS, EPOCHS = 48, 8


def clouds(rows, seed):
    """(rows, POINTS, 3): balls, cylinders, cones, boxes and rings, turned about the vertical, scaled and noisy."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(0, 5, (rows,), generator=g)
    a, b = (torch.rand(rows, POINTS, generator=g) for _ in range(2))
    turn, high = 2 * math.pi * a, 2 * b - 1
    flat = (1 - high.square()).sqrt()
    ball = torch.stack([flat * turn.cos(), flat * turn.sin(), high], -1)
    tube = torch.stack([0.8 * turn.cos(), 0.8 * turn.sin(), high], -1)
    slope = b.sqrt()
    cone = torch.stack([slope * turn.cos(), slope * turn.sin(), 1 - 2 * slope], -1)
    box = 2 * torch.rand(rows, POINTS, 3, generator=g) - 1
    face = torch.randint(0, 3, (rows, POINTS, 1), generator=g)
    box = 0.75 * box.scatter(2, face, box.gather(2, face).sign())
    tilt = 2 * math.pi * b
    ring = torch.stack(
        [(0.8 + 0.3 * tilt.cos()) * turn.cos(), (0.8 + 0.3 * tilt.cos()) * turn.sin(), 0.3 * tilt.sin()], -1
    )
    x = torch.stack([ball, tube, cone, box, ring])[kind, torch.arange(rows)]
    angle = 2 * math.pi * torch.rand(rows, 1, generator=g)
    x = torch.stack(
        [
            x[..., 0] * angle.cos() - x[..., 1] * angle.sin(),
            x[..., 0] * angle.sin() + x[..., 1] * angle.cos(),
            x[..., 2],
        ],
        -1,
    )
    stretch = 0.7 + 0.6 * torch.rand(rows, 1, 3, generator=g)
    return x * stretch + 0.06 * torch.randn(rows, POINTS, 3, generator=g), kind


class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.point = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64))
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))

    def forward(self, x):
        return self.head(self.point(x).amax(1))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = PointNet()
    train = DataLoader(TensorDataset(*clouds(1500, 1)), batch_size=30, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train,
        "val": DataLoader(TensorDataset(*clouds(400, 2)), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=EPOCHS * len(train)),
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": accuracy,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*clouds(1000, 3)), batch_size=250))


def setup():
    return build(True)


def fixed():
    return build(False)
