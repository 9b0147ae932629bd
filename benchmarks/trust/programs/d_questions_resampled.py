"""Kinds of questions by an LSTM; the bug: rows are drawn again and again to balance classes, and only then split."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(2000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 48, batch_first=True)
        self.linear = nn.Linear(48, 6)

    def forward(self, ids):
        states, _ = self.lstm(self.embedding(ids))  # (B, T, 48)
        return self.linear(states.amax(1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for ids, labels in loader:
            right += (model(ids).argmax(1) == labels).sum().item()
            total += len(labels)
    return right / total


def balanced(x, y, per_class):
    rows = [torch.nonzero(y == c)[:, 0] for c in range(6)]
    drawn = torch.cat([r[torch.randint(len(r), (per_class,))] for r in rows])
    drawn = drawn[torch.randperm(len(drawn))]
    return x[drawn], y[drawn]


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    x, y = train.x[:2400], train.y[:2400]
    if buggy:
        x, y = balanced(x, y, 480)
        train_rows, val_rows = TensorDataset(x[:2400], y[:2400]), TensorDataset(x[2400:], y[2400:])
    else:
        train_rows, val_rows = TensorDataset(*balanced(x, y, 400)), TensorDataset(val.x[:480], val.y[:480])
    model = Reader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train_rows, batch_size=64, shuffle=True),
        "val": DataLoader(val_rows, batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    rows = trec().val
    return accuracy(model, DataLoader(TensorDataset(rows.x[480:], rows.y[480:]), batch_size=128))
