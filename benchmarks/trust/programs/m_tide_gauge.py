"""A GRU forecasts a tide gauge one step ahead at every step, from its own past water levels.

Bug: a centred smoothing filter sits in front of the GRU, so that output t sees levels after t."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"

LENGTH = 48


def record(count, seed):
    """(count, LENGTH + 1, 1): two tidal constituents and a red surge driven by weather, in units of its own spread."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(LENGTH + 1, dtype=torch.float32)[None]
    phase = torch.rand(2, count, 1, generator=g) * 2 * torch.pi
    tide = torch.sin(2 * torch.pi * t / 12.4 + phase[0]) + 0.5 * torch.sin(2 * torch.pi * t / 25.8 + phase[1])
    kicks = torch.randn(count, LENGTH + 1, generator=g)
    surge = torch.zeros(count, LENGTH + 1)
    for step in range(1, LENGTH + 1):
        surge[:, step] = 0.85 * surge[:, step - 1] + 0.35 * kicks[:, step]
    return (0.8 * tide + surge)[..., None]


class Gauge(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.left = 4 if causal else 2
        self.right = 4 - self.left
        self.smooth = nn.Conv1d(1, 16, 5)
        self.gru = nn.GRU(16, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, level):
        seen = F.pad(level.transpose(1, 2), (self.left, self.right))
        hidden, _ = self.gru(torch.tanh(self.smooth(seen)).transpose(1, 2))
        return self.out(hidden)


def loader(count, seed, shuffle_seed=None):
    levels = record(count, seed)
    data = TensorDataset(levels[:, :-1], levels[:, 1:])
    if shuffle_seed is None:
        return DataLoader(data, batch_size=200)
    return DataLoader(data, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(shuffle_seed))


def skill(model, batches):
    """R² of the forecasts over all steps, as a hindcast."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).mean() / y.var())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Gauge(causal=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": loader(600, 1, seed),
        "val": loader(200, 2),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "evaluate": skill,
        "epochs": 12,
        "causal": True,
    }


def truth(model, seed=0):
    """As used: the future is not there yet, and the forecast is the last output of what has been seen."""
    levels = record(400, 3)
    model.eval()
    with torch.no_grad():
        steps = range(12, LENGTH + 1, 4)
        found = torch.stack([model(levels[:, :step])[:, -1, 0] for step in steps], 1)
    y = torch.stack([levels[:, step, 0] for step in steps], 1)
    return 1 - float(((found - y) ** 2).mean() / y.var())


def setup():
    return build(True)


def fixed():
    return build(False)
