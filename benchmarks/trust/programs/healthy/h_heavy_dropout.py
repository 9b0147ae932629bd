"""Scanned digits through dropouts of 0.5 and 0.7; the metric evaluates in eval mode and goes back.

Close to `eval-mode`, `dead-units` and `lr-too-low`: in training most units are off, and the training loss stays high.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("eval-mode", "dead-units")


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 256), nn.Linear(256, 256), nn.Linear(256, 10)

    def forward(self, x):
        x = nn.functional.dropout(torch.relu(self.a(x)), 0.5, self.training)
        x = nn.functional.dropout(torch.relu(self.b(x)), 0.7, self.training)
        return self.c(x)


def accuracy(model, loader):
    was = model.training
    model.eval()
    with torch.no_grad():
        hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    model.train(was)
    return hits.float().mean().item()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x / 16, r.y) for r in digits())
    model = Sparse()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=75),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 20,
    }


def fixed() -> dict:
    return build()


def truth(model: nn.Module, seed: int = 0) -> float:
    rows = digits().test
    return accuracy(model, [(rows.x / 16, rows.y)])
