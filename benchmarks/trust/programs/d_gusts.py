"""Foretells the next reading of a gusty anemometer from the last 24 with a GRU; skill is 1 - RMSE over the readings' deviation.

Bug: the root is taken of each batch's error and the roots are averaged, though calm and storm lie in different batches."""

from functools import cache

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"
PAST = 24


@cache
def station(count, seed):
    """A wind that sways with a slowly changing strength: AR(2) oscillation under log-normal volatility."""
    g = torch.Generator().manual_seed(seed)
    kicks, drift = torch.randn(count, generator=g).tolist(), torch.randn(count, generator=g).tolist()
    wind, level = [0.0, 0.0], 0.0
    for kick, move in zip(kicks, drift, strict=False):
        level = 0.99 * level + 0.09 * move
        wind.append(1.75 * wind[-1] - 0.9 * wind[-2] + 0.22 * 2.718 ** (1.3 * level) * kick)
    return torch.tensor(wind[2:])


def windows(count, seed):
    wind = station(count, seed) / 2
    rows = wind.unfold(0, PAST + 1, 1)
    return TensorDataset(rows[:, :-1, None], rows[:, -1])


class Anemometer(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.memory = nn.GRU(1, width, batch_first=True)
        self.change = nn.Linear(width, 1)

    def forward(self, past):
        states, _ = self.memory(past)
        return past[:, -1, 0] + self.change(states[:, -1])[:, 0]


def errors(model, loader):
    """Each batch's (squared errors, readings)."""
    model.eval()
    with torch.no_grad():
        return [((model(past) - y).square(), y) for past, y in loader]


def skill(model, loader):
    squares, y = (torch.cat(parts) for parts in zip(*errors(model, loader), strict=False))
    return 1 - (squares.mean().sqrt() / y.std()).item()


def skill_by_batch(model, loader):
    found = errors(model, loader)
    rmse = torch.stack([squares.mean().sqrt() for squares, _ in found]).mean()
    return 1 - (rmse / torch.cat([y for _, y in found]).std()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Anemometer()
    train = DataLoader(windows(4000, 1), 64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "val": DataLoader(windows(4000, 2), 64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": skill_by_batch if buggy else skill,
        "epochs": 6,
    }


def truth(model, seed=0):
    return skill(model, DataLoader(windows(20000, 3), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
