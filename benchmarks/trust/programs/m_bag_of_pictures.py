"""Tells whether a bag of eight handwritten digits holds a 4, with gated-attention multiple-instance pooling.

Bug: the attention's softmax runs over the bags of the batch instead of over the pictures of a bag."""

import torch
from material import mnist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"
BAG, WANTED = 8, 4


def bags(rows, count, seed):
    """Bags of pictures of 14 by 14 in 0..1: half of them hold one 4 at a random place, the others none."""
    x = F.avg_pool2d(rows.x.float()[:, None] / 255, 2)
    generator = torch.Generator().manual_seed(seed)
    wanted, other = (rows.y == WANTED).nonzero()[:, 0], (rows.y != WANTED).nonzero()[:, 0]
    members = other[torch.randint(len(other), (count, BAG), generator=generator)]
    y = torch.arange(count) % 2
    one = wanted[torch.randint(len(wanted), (count,), generator=generator)]
    place = torch.randint(BAG, (count,), generator=generator)
    held = y == 1
    members[held, place[held]] = one[held]
    return TensorDataset(x[members], y.float())


class Bags(nn.Module):
    def __init__(self, buggy=False, width=48):
        super().__init__()
        self.picture = nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 16, width),
            nn.ReLU(),
        )
        self.value, self.gate = nn.Linear(width, 24), nn.Linear(width, 24)
        self.score, self.head = nn.Linear(24, 1), nn.Linear(width, 1)
        self.over = 0 if buggy else 1

    def forward(self, x):
        h = self.picture(x.flatten(0, 1)).view(len(x), BAG, -1)
        score = self.score(self.value(h).tanh() * self.gate(h).sigmoid())
        pooled = (score.softmax(self.over) * h).sum(1)
        return self.head(pooled).squeeze(1)


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += ((model(x) > 0) == (y > 0.5)).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist()
    model = Bags(buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(bags(parts.train, 1200, 1), 32, shuffle=True),
        "val": DataLoader(bags(parts.val, 300, 2), 50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    """Bags come one at a time in use."""
    return accuracy(model, DataLoader(bags(mnist().test, 500, 3), 1))


def setup():
    return build(True)


def fixed():
    return build(False)
