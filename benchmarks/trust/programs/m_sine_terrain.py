"""Learns the height of a terrain as a function of place with a network of sines (SIREN) from 1500 surveyed points.

Bug: the hidden layers' weights lack the division by the frequency in their initial bound, and are six times too large."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "init-scale"
ALSO = ()
HIGHER = "truth"
FREQUENCY = 6.0


def terrain(places):
    """Hills, a valley and ripples; about standardised."""
    east, north = places.unbind(1)
    hills = torch.exp(-((east - 0.4) ** 2 + (north + 0.3) ** 2) / 0.12) + 0.8 * torch.exp(
        -((east + 0.5) ** 2 + north**2) / 0.2
    )
    valley = -torch.exp(-((north - 0.4 - 0.3 * torch.sin(3 * east)) ** 2) / 0.02)
    ripples = 0.25 * torch.sin(9 * east + 4 * north) * (1 + north) / 2
    return ((hills + valley + ripples - 0.1) / 0.45).unsqueeze(1)


def survey(count, seed, noise=0.0):
    g = torch.Generator().manual_seed(seed)
    places = 2 * torch.rand(count, 2, generator=g) - 1
    return places, terrain(places) + noise * torch.randn(count, 1, generator=g)


class Sine(nn.Module):
    def __init__(self, before, after, first, buggy):
        super().__init__()
        self.linear = nn.Linear(before, after)
        if first:
            bound = 1 / before
        elif buggy:
            bound = math.sqrt(6 / before)
        else:
            bound = math.sqrt(6 / before) / FREQUENCY
        self.scale = FREQUENCY
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x):
        return torch.sin(self.scale * self.linear(x))


class Siren(nn.Sequential):
    def __init__(self, buggy, width=48):
        super().__init__(
            Sine(2, width, True, buggy),
            Sine(width, width, False, buggy),
            Sine(width, width, False, buggy),
            nn.Linear(width, 1),
        )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Siren(buggy)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*survey(1500, 1, noise=0.05)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*survey(300, 2, noise=0.05)), batch_size=150),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=32),
        "epochs": 32,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    places, heights = survey(2000, 3)
    return 1 - ((model(places) - heights).square().mean() / heights.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
