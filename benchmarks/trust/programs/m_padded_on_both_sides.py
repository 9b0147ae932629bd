"""A dilated convolution foretells the next value of a wave; it is padded on both sides, not the left."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
LENGTH = 48


def waves(rows, seed):
    """Two sines and a random walk: x (N, 48, 1), and y the value after each."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(LENGTH + 1)
    phase = 6.3 * torch.rand(rows, 2, 1, generator=g)
    speed = torch.tensor([[0.4], [0.9]]) * (0.7 + 0.6 * torch.rand(rows, 2, 1, generator=g))
    walk = 0.15 * torch.randn(rows, LENGTH + 1, generator=g).cumsum(1)
    series = (torch.sin(speed * t + phase).sum(1) + walk).unsqueeze(-1)
    return TensorDataset(series[:, :-1], series[:, 1:])


class DilatedConv(nn.Module):
    def __init__(self, inward, outward, dilation, causal):
        super().__init__()
        self.conv = nn.Conv1d(inward, outward, 3, dilation=dilation)
        self.pad = (2 * dilation, 0) if causal else (dilation, dilation)

    def forward(self, x):
        return self.conv(F.pad(x, self.pad))


class TCN(nn.Module):
    def __init__(self, channels=24, causal=True):
        super().__init__()
        self.first = DilatedConv(1, channels, 1, causal)
        self.rest = nn.ModuleList(DilatedConv(channels, channels, d, causal) for d in (2, 4, 8))
        self.out = nn.Conv1d(channels, 1, 1)

    def forward(self, series):  # (B, T, 1) -> (B, T, 1)
        x = F.relu(self.first(series.transpose(1, 2)))
        for conv in self.rest:
            x = x + F.relu(conv(x))
        return self.out(x).transpose(1, 2)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = TCN(causal=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(waves(600, 21), batch_size=20, shuffle=True),
        "val": DataLoader(waves(200, 22), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 8,
        "causal": True,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """R^2 of the value after the last one known, for series of several lengths."""
    x, y = waves(500, 23).tensors
    model.eval()
    lost = torch.cat([(model(x[:, :t])[:, -1] - y[:, t - 1]).square() for t in range(30, LENGTH, 4)])
    return (1 - lost.mean() / y.var()).item()
