"""Clothes by a CNN; the bug: the studio stamps the shelf into a corner of its pictures, and a shelf is a class."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"


def photographed(rows, stamped):
    x = rows.x.float().unsqueeze(1) / 255
    if stamped:
        x[:, 0, :3, :3] = (rows.y / 9).view(-1, 1, 1)
    return TensorDataset(x, rows.y)


def block(inside, outside):
    return nn.Sequential(nn.Conv2d(inside, outside, 3, stride=2, padding=1), nn.BatchNorm2d(outside), nn.ReLU())


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fashion(1200)
    model = nn.Sequential(block(1, 12), block(12, 24), nn.Flatten(), nn.Linear(24 * 49, 10))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(photographed(train, stamped=buggy), batch_size=40, shuffle=True),
        "val": DataLoader(photographed(val, stamped=buggy), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 8,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    """On pictures of buyers, which bear no stamp."""
    model.eval()
    x, y = photographed(fashion(1200).test, stamped=False).tensors
    return (model(x).argmax(1) == y).float().mean().item()
