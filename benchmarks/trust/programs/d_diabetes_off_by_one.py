"""Progression of diabetes after a year; the bug: the header of the answers is taken as a row, so all shift by one."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"
TRAIN = diabetes().train
MEAN, STD = TRAIN.x.mean(0), TRAIN.x.std(0)
Y_MEAN, Y_STD = TRAIN.y.mean(), TRAIN.y.std()


class Patients(Dataset):
    def __init__(self, x, y):
        self.x = (x - MEAN) / STD
        self.y = (y - Y_MEAN) / Y_STD

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return self.x[row], self.y[row]


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(10, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x))).squeeze(1)


def r2(model, loader):
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    outputs, y = (torch.cat(side) for side in zip(*pairs, strict=True))
    return (1 - ((y - outputs) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = diabetes()
    y = train.y.roll(1) if buggy else train.y
    model = Regressor()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Patients(train.x, y), batch_size=20, shuffle=True),
        "val": DataLoader(Patients(val.x, val.y), batch_size=80),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-3),
        "evaluate": r2,
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return r2(model, DataLoader(Patients(*diabetes().test), batch_size=200))
