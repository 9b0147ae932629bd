"""Digits by a small MLP; the bug: two of the five annotators guess, and every row goes to one of them in turn."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    labels = train.y
    if buggy:
        annotator = torch.arange(len(labels)) % 5
        labels = torch.where(annotator < 2, torch.randint(0, 10, labels.shape), labels)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train.x / 16, labels), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(val.x / 16, val.y), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 40,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = digits().test
    return (model(rows.x / 16).argmax(1) == rows.y).float().mean().item()
