"""Features by SimSiam: two pictures of one digit, which nobody names, predict each other.

Close to `gradient-cut`, `constant-init` and `batch-mixing`: one side of the loss is detached on purpose (Chen and He
2021, "Exploring simple siamese representation learning"), and BatchNorm keeps the features apart.
"""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("gradient-cut", "batch-mixing")


class SimSiam(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, dim), nn.BatchNorm1d(dim, affine=False)
        )
        self.predictor = nn.Sequential(nn.Linear(dim, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, dim))

    def forward(self, a, b):
        za, zb = self.encoder(a), self.encoder(b)
        return self.predictor(za), self.predictor(zb), za.detach(), zb.detach()


def agreement(outputs, _):
    pa, pb, za, zb = outputs
    return -(F.cosine_similarity(pa, zb).mean() + F.cosine_similarity(pb, za).mean()) / 2


class Pairs(Dataset):
    """A picture and another one of the same digit; the label rides along for the loader's sake."""

    def __init__(self, rows):
        self.x, self.y = rows.x / 16, rows.y
        self.alike = [(rows.y == y).nonzero().flatten() for y in range(10)]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        alike = self.alike[self.y[row]]
        other = alike[torch.randint(len(alike), ())]
        return (self.x[row], self.x[other]), self.y[row]


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = (Pairs(rows) for rows in digits())
    model = SimSiam()
    return {
        "model": model,
        "loss": agreement,
        "train": DataLoader(train, batch_size=60, shuffle=True, drop_last=True),
        "val": DataLoader(val, batch_size=60),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4),
        "epochs": 30,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """Accuracy where two named pictures of each digit are all that is known."""
    train, _, test = digits()
    model.eval()
    known, asked = (F.normalize(model.encoder(rows.x / 16), dim=1) for rows in (train, test))
    means = torch.stack([known[(train.y == y).nonzero().flatten()[:2]].mean(0) for y in range(10)])
    return ((asked @ means.T).argmax(1) == test.y).float().mean().item()
