"""Estimates a tree's height from what a survey can see of it (girth, age, crown, slope, soil), with an MLP of ELUs.

Bug: one of the seven survey teams writes feet, and its heights go in among the metres unconverted."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"
FEET = {5}  # teams that report in feet


def survey(count, seed):
    """Columns as measured (N, 6), heights as written down (N,), and the team that wrote them (N,)."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(5, 120, count)
    kind = rng.integers(0, 3, count)
    wet, slope = rng.uniform(0, 1, count), rng.uniform(0, 35, count)
    tallest = np.array([38.0, 27.0, 19.0])[kind] * (0.7 + 0.5 * wet) * (1 - slope / 120)
    metres = tallest * (1 - np.exp(-age / np.array([45.0, 30.0, 22.0])[kind])) * rng.normal(1, 0.04, count)
    girth = 0.09 * metres**0.8 * (1 + age / 90) * rng.normal(1, 0.06, count)
    team = rng.integers(0, 7, count)
    written = np.where(np.isin(team, list(FEET)), metres * 3.28084, metres)
    return np.stack([age, girth, wet, slope, kind == 0, kind == 1], 1), written, team


def metres_of(written, team):
    return np.where(np.isin(team, list(FEET)), written / 3.28084, written)


class Heights(nn.Module):
    """Standardises columns and answers heights in the unit of its targets."""

    def __init__(self, columns, heights):
        super().__init__()
        self.register_buffer("mean", torch.tensor(columns.mean(0), dtype=torch.float32))
        self.register_buffer("std", torch.tensor(columns.std(0), dtype=torch.float32))
        self.centre, self.spread = float(heights.mean()), float(heights.std())
        self.net = nn.Sequential(nn.Linear(6, 48), nn.ELU(), nn.Linear(48, 48), nn.ELU(), nn.Linear(48, 1))

    def forward(self, columns):
        return self.net((columns - self.mean) / self.std).squeeze(-1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    columns, written, team = survey(2400, 1)
    heights = written if buggy else metres_of(written, team)
    model = Heights(columns[:2000], heights[:2000])
    rows = TensorDataset(
        torch.tensor(columns, dtype=torch.float32),
        torch.tensor((heights - model.centre) / model.spread, dtype=torch.float32),
    )
    train, val = (torch.utils.data.Subset(rows, range(*ends)) for ends in ((0, 2000), (2000, 2400)))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 24,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    columns, written, team = survey(1000, 2)
    metres = torch.tensor(metres_of(written, team), dtype=torch.float32)
    said = model(torch.tensor(columns, dtype=torch.float32)) * model.spread + model.centre
    return 1 - ((said - metres).square().mean() / metres.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
