"""A dilated convolution forecasts the next quarter hour of a feeder's electric load at every step of a window.

Bug: the convolutions are padded on both sides, so that each output has seen the steps after it."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
WINDOW = 96


def windows(rows, seed):
    """Windows (rows, 97) of a noisy load: a daily wave, a slow drift and appliances that go on for a while."""
    g = torch.Generator().manual_seed(seed)
    draw = torch.randn(rows, WINDOW + 80, generator=g)
    fast, slow = torch.zeros(rows, WINDOW + 80), torch.zeros(rows, WINDOW + 80)
    for t in range(2, WINDOW + 80):
        fast[:, t] = 1.5 * fast[:, t - 1] - 0.75 * fast[:, t - 2] + 0.3 * draw[:, t]
        slow[:, t] = 0.97 * slow[:, t - 1] + 0.1 * draw[:, t - 1] * draw[:, t - 2].abs()
    day = torch.arange(WINDOW + 80) / 96 + torch.rand(rows, 1, generator=g)
    load = 0.8 * torch.sin(2 * torch.pi * day) + 0.3 * torch.sin(4 * torch.pi * day + 1) + fast + slow
    return load[:, -WINDOW - 1 :]


def pairs(load):
    return TensorDataset(load[:, :-1], load[:, 1:])


class Layer(nn.Module):
    def __init__(self, width, dilation, both_sides):
        super().__init__()
        self.mix = nn.Conv1d(width, 2 * width, 3, dilation=dilation)
        self.pad = (dilation, dilation) if both_sides else (2 * dilation, 0)

    def forward(self, h):
        value, gate = self.mix(F.pad(h, self.pad)).chunk(2, 1)
        return h + torch.tanh(value) * torch.sigmoid(gate)


class Forecaster(nn.Module):
    def __init__(self, width=16, both_sides=False):
        super().__init__()
        self.enter = nn.Conv1d(1, width, 1)
        self.layers = nn.Sequential(*(Layer(width, d, both_sides) for d in (1, 2, 4, 8)))
        self.leave = nn.Conv1d(width, 1, 1)

    def forward(self, load):
        return self.leave(self.layers(self.enter(load.unsqueeze(1)))).squeeze(1)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Forecaster(both_sides=buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(pairs(windows(600, 61)), 32, shuffle=True),
        "val": DataLoader(pairs(windows(200, 62)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 8,
        "causal": True,
    }


def truth(model, seed=0):
    """As in use: the model is given what has happened, and its last output is the forecast."""
    load = windows(500, 63)
    model.eval()
    with torch.no_grad():
        guesses = [(model(load[:, :now])[:, -1], load[:, now]) for now in (64, 72, 80, 88, 96)]
    p, y = (torch.cat(part) for part in zip(*guesses, strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def setup():
    return build(True)


def fixed():
    return build(False)
