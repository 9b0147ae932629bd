"""Next hour's load of a power grid from the last two days, by a causal convolution over the hours.

Bug: the learning rate is divided by the batch size as in the days when losses were summed; this one is a mean."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "lr-too-low"
ALSO = ()
HIGHER = "truth"
BATCH, HOURS = 64, 48


def load_curve():
    g = np.random.default_rng(90)
    h = np.arange(6000)
    noise = np.zeros(len(h))
    for t in range(1, len(h)):
        noise[t] = 0.7 * noise[t - 1] + g.normal(0, 0.12)
    day = np.sin(2 * np.pi * (h - 7) / 24) + 0.6 * np.sin(4 * np.pi * (h - 3) / 24)
    work = np.where((h // 24) % 7 < 5, 1.0, 0.55)
    return (50 + 8 * (day * work + noise)).astype(np.float32)


class Windows(Dataset):
    def __init__(self, begin, end):
        series = load_curve()
        mean, std = series[:4000].mean(), series[:4000].std()
        self.series = torch.from_numpy((series - mean) / std)[begin:end]

    def __len__(self):
        return len(self.series) - HOURS

    def __getitem__(self, i):
        return self.series[i : i + HOURS, None], self.series[i + 1 : i + HOURS + 1]


class Causal(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv1d(1 if d == 1 else width, width, 2, dilation=d) for d in (1, 2, 4, 8, 16)])
        self.out = nn.Conv1d(width, 1, 1)

    def forward(self, x):
        h = x.transpose(1, 2)
        for layer in self.layers:
            new = F.gelu(layer(F.pad(h, (layer.dilation[0], 0))))
            h = new if h.shape[1] == 1 else h + new
        return self.out(h)[:, 0]


def skill(model, loader):
    """1 less the error relative to repeating the last hour; over the last half of each window."""
    model.eval()
    error = naive = 0.0
    with torch.no_grad():
        for x, y in loader:
            half = HOURS // 2
            error += (model(x) - y)[:, half:].square().sum().item()
            naive += (x[..., 0] - y)[:, half:].square().sum().item()
    return 1 - error / naive


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Causal()
    base = 3e-3
    optimizer = torch.optim.Adam(model.parameters(), lr=base / BATCH if buggy else base)
    epochs = 6
    train = Windows(0, 4000)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=BATCH, shuffle=True),
        "val": DataLoader(Windows(4000, 5000), batch_size=200),
        "optimizer": optimizer,
        "evaluate": skill,
        "causal": True,
        "epochs": epochs,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return skill(model, DataLoader(Windows(5000, 6000), batch_size=200))
