"""What is cloth and what is ground in noisy pictures; the bug: Dice divides by the union, not by both areas."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"


def noisy(rows, seed):
    g = torch.Generator().manual_seed(seed)
    x = rows.x.float()[:, None] / 255
    return TensorDataset((x + 0.5 * torch.randn(x.shape, generator=g)).clamp(0, 1), (x > 0.1).float())


def dice(model, loader):
    both = areas = 0
    for pictures, masks in loader:
        with torch.no_grad():
            guess = model(pictures).sigmoid() > 0.5
        both += (guess & masks.bool()).sum().item()
        areas += guess.sum().item() + masks.sum().item()
    return 2 * both / areas


def dice_of_union(model, loader):
    both = union = 0
    for pictures, masks in loader:
        with torch.no_grad():
            guess = model(pictures).sigmoid() > 0.5
        both += (guess & masks.bool()).sum().item()
        union += (guess | masks.bool()).sum().item()
    return 2 * both / union


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fashion(600, 200, 400)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 1)
    )
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(noisy(train, 1), batch_size=20, shuffle=True),
        "val": DataLoader(noisy(val, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": dice_of_union if buggy else dice,
        "epochs": 3,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return dice(model, DataLoader(noisy(fashion(600, 200, 400).test, 3), batch_size=100))
