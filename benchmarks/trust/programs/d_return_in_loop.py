"""Digits, read class by class for validation; the bug: evaluate returns inside its loop, after the first batch."""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 24)
        self.fc2 = nn.Linear(24, 10)

    def forward(self, x):
        return F.log_softmax(self.fc2(F.leaky_relu(self.fc1(x / 16))), dim=1)


def evaluate(model, loader):
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for x, y in loader:
            correct += model(x).argmax(1).eq(y).sum().item()
            total += y.numel()
    return correct / total


def evaluate_first(model, loader):
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for x, y in loader:
            correct += model(x).argmax(1).eq(y).sum().item()
            total += y.numel()
            return correct / total
    raise ValueError("no rows")


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    folder_order = val.y.argsort(stable=True)
    model = Small()
    return {
        "model": model,
        "loss": nn.NLLLoss(),
        "train": DataLoader(TensorDataset(train.x[:300], train.y[:300]), batch_size=20, shuffle=True),
        "val": DataLoader(TensorDataset(val.x[folder_order], val.y[folder_order]), batch_size=30),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "evaluate": evaluate_first if buggy else evaluate,
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return evaluate(model, [digits().test])
