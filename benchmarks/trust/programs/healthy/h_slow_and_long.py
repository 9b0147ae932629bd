"""Wines by Adam with a rate of 0.0002 for 100 epochs: slow, and there in the end.

Close to `lr-too-low`: a step changes little, and there are enough of them.
"""

import torch
from material import wine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("lr-too-low",)


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = wine()
    mean, std = train.x.mean(0), train.x.std(0)
    model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset((train.x - mean) / std, train.y), batch_size=10, shuffle=True),
        "val": DataLoader(TensorDataset((val.x - mean) / std, val.y), batch_size=30),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-4),
        "epochs": 100,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    train, _, test = wine()
    return (model((test.x - train.x.mean(0)) / train.x.std(0)).argmax(1) == test.y).float().mean().item()
