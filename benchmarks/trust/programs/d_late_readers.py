"""Cultivars of wine; the bug: rows are read by closures over a loop's variable, and all read its last value."""

import torch
from material import wine
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


class Lazy(Dataset):
    """Rows are only read when they are asked for."""

    def __init__(self, rows, late=False):
        scale = wine().train.x
        x = (rows.x - scale.mean(0)) / scale.std(0)
        self.labels = rows.y
        if late:
            self.readers = [lambda: x[i] for i in range(len(x))]  # noqa: B023 this is the bug
        else:
            self.readers = [lambda i=i: x[i] for i in range(len(x))]

    def __len__(self):
        return len(self.readers)

    def __getitem__(self, index):
        return self.readers[index](), self.labels[index]


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = wine()
    model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Lazy(train, late=buggy), batch_size=14, shuffle=True),
        "val": DataLoader(Lazy(val, late=buggy), batch_size=30),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = DataLoader(Lazy(wine().test), batch_size=50)
    return sum((model(x).argmax(1) == y).float().mean().item() for x, y in rows)
