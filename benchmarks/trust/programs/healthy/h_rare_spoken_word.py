"""A watch for the one rare word among spoken digits: one row in ten is positive, a weighted loss, judged by F1."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance",)


class Watch(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(43, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, x):
        return self.out(self.gru(x)[0].mean(1)).squeeze(1)


@torch.no_grad()
def f1(model, loader):
    model.eval()
    tp = wrong = 0
    for x, y in loader:
        p, t = model(x) > 0, y > 0.5
        tp += (p & t).sum().item()
        wrong += (p ^ t).sum().item()
    return 2 * tp / max(2 * tp + wrong, 1)


def rows(part, like):
    return TensorDataset((part.x - like.mean()) / like.std(), (part.y == 6).float())


def build(seed=0):
    torch.manual_seed(seed)
    parts = fsdd(900, 300)
    net = Watch()
    return {
        "model": net,
        "loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0)),
        "train": DataLoader(rows(parts.train, parts.train.x), batch_size=40, shuffle=True),
        "val": DataLoader(rows(parts.val, parts.train.x), batch_size=200),
        "optimizer": torch.optim.Adam(net.parameters(), lr=8e-3),
        "evaluate": f1,
        "epochs": 6,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    parts = fsdd(900, 300)
    return f1(model, DataLoader(rows(parts.test, parts.train.x), batch_size=300))
