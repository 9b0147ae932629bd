"""Three cultivars of wine by softmax regression with one hidden layer; the bug: x and y are shuffled by two draws."""

import torch
from material import wine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


def standardised(x):
    train = wine().train.x
    return (x - train.mean(0)) / train.std(0)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = wine()
    order = torch.randperm(len(train.y))
    x = standardised(train.x)[order]
    y = train.y[torch.randperm(len(train.y))] if buggy else train.y[order]
    model = nn.Sequential(nn.Linear(13, 24), nn.Tanh(), nn.Linear(24, 3))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True),
        "val": DataLoader(TensorDataset(standardised(val.x), val.y), batch_size=30),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "epochs": 40,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = wine().test
    return (model(standardised(rows.x)).argmax(1) == rows.y).double().mean().item()
