"""Plankton-like outlines (five species) by a small ResNet whose residual branches begin at zero (the last norm's gain).

Near: blocks that put out nothing at first and convolutions whose first gradients are zero: zero-gamma initialisation."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "gradient-cut", "init-scale", "batch-mixing")

SPECIES, SIDE = 5, 20


def outlines(count, seed):
    """Filled shapes r(a) = base * (1 + lobe * cos(n a + turn)) of n = 2..6 lobes, with grain."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(SPECIES, (count,), generator=g)
    grid = torch.arange(SIDE, dtype=torch.float32) - (SIDE - 1) / 2
    shift = 1.5 * torch.randn(2, count, 1, 1, generator=g)
    y, x = grid[:, None] - shift[0], grid[None] - shift[1]
    base = 5 + 1.5 * torch.rand(count, 1, 1, generator=g)
    turn = 6.28 * torch.rand(count, 1, 1, generator=g)
    edge = base * (1 + 0.35 * torch.cos((kind + 2)[:, None, None] * torch.atan2(y, x) + turn))
    body = torch.sigmoid(2 * (edge - torch.hypot(x, y)))
    return (2 * body - 0.8 + 0.25 * torch.randn(count, SIDE, SIDE, generator=g))[:, None], kind


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.norm = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.second, self.last = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        nn.init.zeros_(self.last.weight)

    def forward(self, h):
        return F.relu(h + self.last(self.second(F.relu(self.norm(self.first(h))))))


class Net(nn.Sequential):
    def __init__(self, width=16):
        super().__init__(
            nn.Conv2d(1, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            Block(width), Block(width), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(width * 25, SPECIES),
        )  # fmt: skip


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, kind in loader:
            right += int((model(x).argmax(1) == kind).sum())
            total += len(kind)
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*outlines(1200, 1)), batch_size=40, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*outlines(300, 2)), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=8 * 30),
        "scheduler_step": "batch",
        "evaluate": accuracy,
        "epochs": 8,
    }  # fmt: skip


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*outlines(800, 3)), batch_size=400))


def fixed():
    return build()
