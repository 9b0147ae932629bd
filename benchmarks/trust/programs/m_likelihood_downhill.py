"""A network tells a mean and a spread of a noisy wave; the likelihood lacks its minus and is made small."""

import torch
from torch import nn
from torch.distributions import Laplace
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-sign"
ALSO = ()
HIGHER = "truth"


def wave(rows, seed):
    g = torch.Generator().manual_seed(seed)
    x = 4 * torch.rand(rows, 1, generator=g) - 2
    clean = torch.sin(2 * x) + 0.3 * x
    noise = 0.05 + 0.1 * x.abs()
    return x, (clean + noise * torch.randn(rows, 1, generator=g))


class MeanAndSpread(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.mean = nn.Linear(32, 1)
        self.spread = nn.Linear(32, 1)

    def forward(self, x):
        h = self.trunk(x)
        return self.mean(h), 0.05 + nn.functional.softplus(self.spread(h))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    sign = 1 if buggy else -1

    def loss(outputs, y):
        mean, spread = outputs
        return sign * Laplace(mean, spread).log_prob(y).mean()

    model = MeanAndSpread()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*wave(1000, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*wave(300, 2)), batch_size=300),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """R^2 of the mean."""
    x, y = wave(1000, 3)
    mean, _ = model(x)
    return (1 - (mean - y).square().mean() / y.var(unbiased=False)).item()
