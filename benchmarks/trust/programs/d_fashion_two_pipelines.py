"""Clothes by a small CNN; the bug: training pictures are standardised, those of validation and serving only divided."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"


def serve(pixels):
    """What the service does to a picture (B, 28, 28) of bytes before the network."""
    return pixels[:, None].float() / 255


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fashion(1500)
    x = serve(train.x)
    if buggy:
        x = (x - 0.2860) / 0.3530
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 25, 10),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, train.y), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(serve(val.x), val.y), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 8,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    model.eval()
    rows = fashion(1500).test
    return (model(serve(rows.x)).argmax(1) == rows.y).float().mean().item()
