"""A residual net with batch norm on MNIST; the last norm of each branch begins at zero, so blocks begin as identity."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init",)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.c2, self.n2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        nn.init.zeros_(self.n2.weight)

    def forward(self, x):
        return F.relu(x + self.n2(self.c2(F.relu(self.n1(self.c1(x))))))


def decayed(net):
    """Decay for matrices alone."""
    return [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 5e-4},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


def rows(part):
    return TensorDataset(((part.x.float() - 33) / 79)[:, None], part.y)


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist(1500, 300, 800)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Block(32),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(288, 10),
    )
    optimizer = torch.optim.SGD(decayed(net), lr=0.05, momentum=0.9)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(rows(parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(rows(parts.val), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3),
        "scheduler_step": "epoch",
        "epochs": 3,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    hits = [(model(x).argmax(1) == y).float() for x, y in DataLoader(rows(mnist(1500, 300, 800).test), batch_size=500)]
    return torch.cat(hits).mean().item()
