"""How far diabetes goes in a year, by a small regression network; predictions (B, 1) meet targets (B,)."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


class Progression(nn.Module):
    def __init__(self, flat):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 32), nn.SiLU(), nn.Dropout(0.1), nn.Linear(32, 1))
        self.flat = flat

    def forward(self, x):
        y = self.body(x)
        return y.squeeze(-1) if self.flat else y


def mse(predicted, measured):
    return ((predicted - measured) ** 2).mean()


def standardised():
    parts = diabetes()
    x, y = parts.train
    return [TensorDataset((p.x - x.mean(0)) / x.std(0), (p.y - y.mean()) / y.std()) for p in parts]


def r2(model, dataset):
    x, y = dataset.tensors
    model.eval()
    with torch.no_grad():
        rest = (y - model(x).reshape(-1)).square().mean()
    model.train()
    return (1 - rest / y.var(unbiased=False)).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = standardised()
    model = Progression(flat=not buggy)
    return {
        "model": model,
        "loss": mse,
        "train": DataLoader(train, batch_size=20, shuffle=True),
        "val": DataLoader(val, batch_size=80),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-4),
        "evaluate": lambda model, loader: r2(model, loader.dataset),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return r2(model, standardised()[2])
