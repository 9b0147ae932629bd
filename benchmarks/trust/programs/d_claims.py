"""The cost of insurance claims, which has a heavy tail, by an MLP over embedded and plain columns; the report is 1 - RMSE, in deviations.

Bug: the report takes each batch's root of the mean square error and averages the roots, which a few dear claims hardly move."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"


def claims(count, seed):
    """Kind, region (as whole numbers), the car's age, the driver's years, its value; the noise has four degrees of freedom."""
    rng = np.random.default_rng(seed)
    kind, region = rng.integers(0, 6, count), rng.integers(0, 12, count)
    age, years, value = rng.uniform(0, 15, count), rng.gamma(4, 4, count), rng.lognormal(0, 0.4, count)
    dear = np.array([0.4, 0.8, 1.0, 1.5, 2.2, 3.0])[kind] * (1 + 0.05 * np.cos(region))
    cost = dear * value * np.exp(-0.06 * age) + 0.8 * np.exp(-years / 8) * dear
    cost = cost + 0.45 * rng.standard_t(4, count) * (0.4 + 0.4 * cost)
    plain = np.stack([(age - 7.5) / 4.3, (years - 16) / 8, (value - 1.08) / 0.45], 1)
    whole = torch.tensor(np.stack([kind, region], 1))
    return whole, torch.tensor(plain, dtype=torch.float32), torch.tensor(cost, dtype=torch.float32)


class Costs(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind = nn.Embedding(6, 4)
        self.region = nn.Embedding(12, 4)
        self.layers = nn.Sequential(nn.Linear(11, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, whole, plain):
        x = torch.cat([self.kind(whole[:, 0]), self.region(whole[:, 1]), plain], 1)
        return self.layers(x).squeeze(1)


def paired(batch):
    whole, plain, cost = (torch.stack(column) for column in zip(*batch, strict=False))
    return (whole, plain), cost


def skill(model, batches):
    model.eval()
    with torch.no_grad():
        squares = torch.cat([(model(*x) - y) ** 2 for x, y in batches])
    return 1 - float(squares.mean().sqrt())


def skill_by_batches(model, batches):
    model.eval()
    with torch.no_grad():
        roots = [((model(*x) - y) ** 2).mean().sqrt() for x, y in batches]
    return 1 - float(torch.stack(roots).mean())


def tables():
    parts = [claims(count, seed) for count, seed in ((6000, 61), (6000, 62), (12000, 63))]
    mean, deviation = parts[0][2].mean(), parts[0][2].std()
    return [(whole, plain, (cost - mean) / deviation) for whole, plain, cost in parts]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = tables()
    model = Costs()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.75),
        "scheduler_step": "epoch",
        "train": DataLoader(TensorDataset(*train), batch_size=64, shuffle=True, collate_fn=paired),
        "val": DataLoader(TensorDataset(*val), batch_size=16, collate_fn=paired),
        "evaluate": skill_by_batches if buggy else skill,
        "epochs": 8,
    }


def truth(model, seed=0):
    whole, plain, cost = tables()[2]
    return skill(model, [((whole, plain), cost)])


def setup():
    return build(True)


def fixed():
    return build(False)
