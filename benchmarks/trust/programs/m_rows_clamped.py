"""A residual net on Fashion-MNIST.

Bug: each row's loss is clamped at 2, so that rows which are badly wrong (at first nearly all) give no gradient."""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.f = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.Conv2d(c, c, 3, padding=1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x):
        return F.relu(x + self.f(x))


def clamped(logits, y):
    return F.cross_entropy(logits, y, reduction="none").clamp(max=2.0).mean()


def plain(logits, y):
    return F.cross_entropy(logits, y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion(1600, 400, 800)

    def rows(p):
        return TensorDataset(((p.x.float() - 73) / 90)[:, None], p.y)

    net = nn.Sequential(
        nn.Conv2d(1, 10, 5, stride=2, padding=2),
        Residual(10),
        nn.Conv2d(10, 20, 3, stride=2, padding=1),
        Residual(20),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(80, 10),
    )
    return {
        "model": net,
        "loss": clamped if buggy else plain,
        "train": DataLoader(rows(parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(rows(parts.val), batch_size=200),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = fashion(1600, 400, 800).test
    return (model(((x.float() - 73) / 90)[:, None]).argmax(1) == y).float().mean().item()
