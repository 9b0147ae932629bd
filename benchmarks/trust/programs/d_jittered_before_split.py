"""Progression of diabetes; the bug: rows are copied with a little noise, to have more, and only then split."""

import torch
from material import Rows, diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
COPIES = 4


def scaled(rows):
    train = diabetes().train
    return Rows((rows.x - train.x.mean(0)) / train.x.std(0), (rows.y - train.y.mean()) / train.y.std())


def enlarged(rows):
    x, y = rows.x.repeat(COPIES, 1), rows.y.repeat(COPIES)
    return Rows(x + 0.05 * torch.randn(x.shape), y)


def split(rows, share=0.75):
    order = torch.randperm(len(rows.y))
    cut = int(share * len(order))
    return [Rows(rows.x[part], rows.y[part]) for part in (order[:cut], order[cut:])]


def r_squared(model, loader):
    model.eval()
    outputs, y = [], []
    with torch.no_grad():
        for batch, target in loader:
            outputs.append(model(batch))
            y.append(target)
    outputs, y = torch.cat(outputs), torch.cat(y)
    return 1 - ((outputs - y).pow(2).mean() / y.var(unbiased=False)).item()


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 1)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x))))).view(-1)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    rows = scaled(diabetes().train)
    if buggy:
        train, val = split(enlarged(rows))
    else:
        train, val = split(rows)
        train = enlarged(train)
    model = MLP()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=52, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=130),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": r_squared,
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return r_squared(model, [scaled(diabetes().test)])
