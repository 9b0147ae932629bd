"""Is it an eight? 8 % are; the loss weighs them, and the metric is the balanced accuracy.

Close to `class-imbalance`: it is there and it is cared for.
"""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance",)


def eights(rows):
    return TensorDataset(rows.x[:, None] / 255, (rows.y == 8).long())


def balanced_accuracy(model, loader):
    model.eval()
    right, total = torch.zeros(2), torch.zeros(2)
    with torch.no_grad():
        for x, y in loader:
            right += torch.bincount(y[model(x).argmax(1) == y], minlength=2)
            total += torch.bincount(y, minlength=2)
    return (right / total).mean().item()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (eights(rows) for rows in mnist(2000))
    counts = torch.bincount(train.tensors[1])
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2),
        nn.ELU(),
        nn.Conv2d(8, 16, 5, stride=2),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(16 * 16, 2),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(weight=counts.sum() / (2 * counts)),
        "train": DataLoader(train, batch_size=64, shuffle=True),
        "val": DataLoader(val, batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": balanced_accuracy,
        "epochs": 8,
    }


def fixed() -> dict:
    return build()


def truth(model: nn.Module, seed: int = 0) -> float:
    return balanced_accuracy(model, DataLoader(eights(mnist(2000).test), batch_size=250))
