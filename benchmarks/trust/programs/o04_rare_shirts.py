"""Finds the scarcer shirts among tops, pullovers, dresses and coats; shirts are repeated to even the classes out.

Bug: the shirts are repeated before the rows are split, so that copies of validation shirts are trained on."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
REPEATS = 4
TOPS = (0, 2, 3, 4, 6)
SHIRT = 6


def tops(rows):
    """Upper-body clothes alone; y is 1 for a shirt, about one in five."""
    keep = torch.isin(rows.y, torch.tensor(TOPS))
    return rows.x[keep, None].float() / 255, (rows.y[keep] == SHIRT).float()


def repeat_shirts(x, y):
    rows = torch.cat([torch.arange(len(y)), y.nonzero().squeeze(1).repeat(REPEATS - 1)])
    return x[rows], y[rows]


def split(x, y, share=0.25):
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    val, train = order[: int(share * len(y))], order[int(share * len(y)) :]
    return (x[train], y[train]), (x[val], y[val])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
        )
        self.head = nn.Linear(32 * 49, 1)

    def forward(self, pictures):
        return self.head(self.features(pictures)).squeeze(1)


def balanced_accuracy(model, loader):
    """The mean of the recalls of shirts and of the rest."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x) > 0, y > 0.5) for x, y in loader]
    guess, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (guess[y].float().mean() + (~guess[~y]).float().mean()).item() / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = tops(material.fashion(5000, 500, 2000).train)
    if buggy:
        train, val = split(*repeat_shirts(x, y))
    else:
        train, val = split(x, y)
        train = repeat_shirts(*train)
    model = Net()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*val), 200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": balanced_accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, [tops(material.fashion(5000, 500, 2000).test)])


def setup():
    return build(True)


def fixed():
    return build(False)
