"""One-hour-ahead forecast of the load of a distribution feeder, with a dilated convolutional network over a week."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
WINDOW = 96


def feeder(hours, seed):
    """Standardised load: a daily and a weekly cycle, a slow weather term, and industry that switches on and off."""
    rng = np.random.default_rng(seed)
    h = np.arange(hours + 1)
    base = 0.8 * np.sin(2 * np.pi * (h - 7) / 24) + 0.3 * np.sin(4 * np.pi * h / 24) - 0.4 * ((h // 24) % 7 >= 5)
    weather, plant, remaining = np.zeros(hours + 1), np.zeros(hours + 1), 0
    for i in range(1, hours + 1):
        weather[i] = 0.97 * weather[i - 1] + rng.normal(0, 0.08)
        if remaining == 0 and rng.random() < 0.08:
            remaining = 8
        plant[i] = 1.0 if remaining else 0.0
        remaining = max(remaining - 1, 0)
    return (base + weather + plant + rng.normal(0, 0.08, hours + 1)).astype(np.float32)


def windows(hours, seed, stride):
    load = feeder(hours, seed)
    h = np.arange(len(load))
    cols = np.stack([load, np.sin(2 * np.pi * h / 24), np.cos(2 * np.pi * h / 24), ((h // 24) % 7 >= 5) * 1.0], 1)
    starts = range(0, hours - WINDOW, stride)
    x = np.stack([cols[s : s + WINDOW] for s in starts]).astype(np.float32)
    y = np.stack([load[s + 1 : s + WINDOW + 1] for s in starts])
    return TensorDataset(torch.from_numpy(x), torch.from_numpy(y))


class DilatedConv(nn.Module):
    def __init__(self, cin, cout, k, dilation, one_sided):
        super().__init__()
        reach = (k - 1) * dilation
        self.pad = (reach, 0) if one_sided else (reach // 2, reach // 2)
        self.conv = nn.Conv1d(cin, cout, k, dilation=dilation)

    def forward(self, x):
        return self.conv(F.pad(x, self.pad))


class TCN(nn.Module):
    def __init__(self, one_sided=True, c=24):
        super().__init__()
        self.inp = nn.Conv1d(4, c, 1)
        self.layers = nn.ModuleList([DilatedConv(c, 2 * c, 3, d, one_sided) for d in (1, 2, 4, 8)])
        self.out = nn.Conv1d(c, 1, 1)

    def forward(self, x):
        h = self.inp(x.transpose(1, 2))
        for layer in self.layers:
            a, b = layer(h).chunk(2, dim=1)
            h = h + torch.tanh(a) * torch.sigmoid(b)
        return self.out(h).squeeze(1)


def skill(model, loader):
    """1 - MSE / variance over all hours of the windows."""
    model.eval()
    err, ys = 0.0, []
    with torch.no_grad():
        for x, y in loader:
            err += ((model(x) - y) ** 2).sum().item()
            ys.append(y)
    y = torch.cat(ys)
    return 1 - err / ((y - y.mean()) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = TCN(one_sided=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(windows(8000, 4, stride=12), batch_size=32, shuffle=True),
        "val": DataLoader(windows(2500, 5, stride=24), batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": skill,
        "epochs": 10,
        "causal": True,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    """As it is used: the window ends now, and the last output is the forecast."""
    x, y = windows(4000, 6, stride=3).tensors
    model.eval()
    with torch.no_grad():
        p = torch.cat([model(part)[:, -1] for part in x.split(256)])
    y = y[:, -1]
    return (1 - ((p - y) ** 2).mean() / y.var()).item()
