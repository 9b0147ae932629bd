"""Handwritten digits, rotated by a chance angle to augment; a CNN with a global pool.

Bug: the angle is drawn from -180 to 180 degrees, which makes a 6 of a 9, in place of a few degrees."""

import math

import material
import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"


class Rotate:
    """Turns each picture of a batch by its own angle."""

    def __init__(self, degrees):
        self.limit = math.radians(degrees)

    def __call__(self, x):
        angle = (2 * torch.rand(len(x)) - 1) * self.limit
        zero = torch.zeros_like(angle)
        matrix = torch.stack([angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero], 1).view(-1, 2, 3)
        grid = nn.functional.affine_grid(matrix, list(x.shape), align_corners=False)
        return nn.functional.grid_sample(x, grid, align_corners=False)


def scale(x):
    return x.float()[:, None] / 255


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(2),
        )
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(2000, 500, 1000)
    rotate = Rotate(180 if buggy else 12)

    def collate(batch):
        x, y = zip(*batch, strict=False)
        return rotate(torch.stack(x)), torch.stack(y)

    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            list(zip(scale(parts.train.x), parts.train.y, strict=False)), 32, shuffle=True, collate_fn=collate
        ),
        "val": DataLoader(list(zip(scale(parts.val.x), parts.val.y, strict=False)), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 5,
    }


def truth(model, seed=0):
    test = material.mnist(2000, 500, 1000).test
    return evaluate(model, [(scale(test.x), test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
