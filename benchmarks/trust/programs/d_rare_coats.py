"""Finds the rare coats among pullovers on a belt (one piece in 15); judged by the mean of the two recalls.

Bug: the loss does not weigh the classes, so the few coats count next to nothing."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"
PULLOVER, COAT = 2, 4


def belt(rows, coats_in):
    """Pullovers, and so many coats that they are one in `coats_in`."""
    pullovers, coats = rows.x[rows.y == PULLOVER], rows.x[rows.y == COAT]
    coats = coats[: len(pullovers) // (coats_in - 1)]
    x = torch.cat([pullovers, coats]).float()[:, None] / 255
    y = torch.cat([torch.zeros(len(pullovers)), torch.ones(len(coats))])
    return TensorDataset((x - 0.3) / 0.35, y)


class Belt(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
        )
        self.head = nn.Linear(24 * 16, 1)

    def forward(self, x):
        return self.head(self.features(x).flatten(1)).squeeze(1)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    guess, y = zip(*((model(x) > 0, y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y) > 0.5
    return (guess[y].float().mean().item() + (~guess[~y]).float().mean().item()) / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(12000, 4000, 4000)
    train, val = belt(parts.train, 15), belt(parts.val, 15)
    labels = train.tensors[1]
    if buggy:
        loss = nn.BCEWithLogitsLoss()
    else:
        loss = nn.BCEWithLogitsLoss(pos_weight=(labels == 0).sum() / (labels == 1).sum())
    model = Belt()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 64, shuffle=True),
        "val": DataLoader(val, 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(belt(material.fashion(12000, 4000, 4000).test, 2), 200))


def setup():
    return build(True)


def fixed():
    return build(False)
