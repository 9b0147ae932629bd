"""Compressive strength of concrete from its recipe and age; some recipes were not fully recorded.

Bug: the recipes with gaps are dropped from the inputs, and not from the strengths beside them."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


def frame(rows, seed, gaps):
    rng = np.random.default_rng(seed)
    cement = rng.uniform(120, 520, rows)
    slag = np.where(rng.random(rows) < 0.4, 0, rng.uniform(20, 300, rows))
    water = rng.uniform(130, 230, rows)
    plasticiser = np.where(rng.random(rows) < 0.4, 0, rng.uniform(2, 20, rows))
    coarse = rng.uniform(800, 1130, rows)
    age = rng.choice([1, 3, 7, 14, 28, 56, 90], rows)
    binder = cement + 0.6 * slag
    strength = 26 * (binder / water) ** 0.9 * (np.log1p(age) / 3.4) + 0.5 * plasticiser - 0.01 * (coarse - 970)
    strength += rng.normal(0, 2.5, rows)
    table = pd.DataFrame(
        {"cement": cement, "slag": slag, "water": water, "plasticiser": plasticiser, "coarse": coarse, "age": age}
    )
    table["age"] = np.log(table["age"])
    if gaps:
        table.loc[rng.random(rows) < 0.05, "coarse"] = np.nan
    table["strength"] = strength
    return table


class Recipes(Dataset):
    def __init__(self, inputs, strength, scale):
        centre, spread, mid, wide = scale
        self.x = torch.tensor(((inputs - centre) / spread).to_numpy(), dtype=torch.float32)
        self.y = torch.tensor((strength - mid) / wide, dtype=torch.float32)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row], self.y[row]


def cleaned(table, buggy):
    if buggy:
        inputs = table.drop(columns="strength").dropna()
        return inputs, table["strength"].to_numpy()[: len(inputs)]
    table = table.dropna()
    return table.drop(columns="strength"), table["strength"].to_numpy()


def scales():
    table = frame(1600, 5, True).iloc[:1300].dropna()
    inputs = table.drop(columns="strength")
    return inputs.mean(), inputs.std(), table["strength"].mean(), table["strength"].std()


class Strength(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    table = frame(1600, 5, True)
    parts = [Recipes(*cleaned(part, buggy), scales()) for part in (table.iloc[:1300], table.iloc[1300:])]
    model = Strength()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(parts[0], batch_size=32, shuffle=True),
        "val": DataLoader(parts[1], batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 40,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """R² on complete recipes."""
    model.eval()
    test = Recipes(*cleaned(frame(800, 99, False), False), scales())
    return (1 - ((model(test.x) - test.y) ** 2).mean() / test.y.var()).item()
