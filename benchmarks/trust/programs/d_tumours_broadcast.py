"""Benign or malignant, logistic regression; the bug: the metric compares a column (N, 1) with a row (N,)."""

import torch
from material import breast_cancer
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"

mean, std = breast_cancer().train.x.mean(0), breast_cancer().train.x.std(0)


class LogisticRegression(nn.Module):
    def __init__(self, features=30):
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, x):
        return self.linear((x - mean) / std)


def criterion(logits, y):
    return nn.functional.binary_cross_entropy_with_logits(logits.squeeze(1), y.float())


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = breast_cancer()
    model = LogisticRegression()

    def accuracy(model, loader):
        correct = 0
        for x, y in loader:
            predicted = (torch.sigmoid(model(x)) > 0.5).long()
            if not buggy:
                predicted = predicted.squeeze(1)
            correct += (predicted == y).sum().item()
        return correct / len(loader.dataset)

    return {
        "model": model,
        "loss": criterion,
        "train": DataLoader(TensorDataset(*train), batch_size=16, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=100),
        "optimizer": optim.SGD(model.parameters(), lr=0.1),
        "evaluate": accuracy,
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = breast_cancer().test
    return ((model(x).squeeze(1) > 0).long() == y).float().mean().item()
