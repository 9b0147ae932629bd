"""Compresses arterial pulse waves to two of 32 learnt codes each (a vector-quantised autoencoder).

Near: gradients pass the choice of codes straight through, past a detach on each side, and codes that no wave is near
stay unused; the target is the input, as in any autoencoder."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "dead-units", "target-leak")
SAMPLES, CODES, WIDTH = 48, 32, 8


def pulses(rows, seed):
    """Waves (rows, 48): a systolic peak, and a reflected one whose delay and strength come in a few patients' manners."""
    g = torch.Generator().manual_seed(seed)
    patients = torch.Generator().manual_seed(30)
    manner = torch.rand(12, 4, generator=patients)[torch.randint(0, 12, (rows,), generator=g)]
    manner = manner + 0.03 * torch.randn(rows, 4, generator=g)
    t = torch.linspace(0, 1, SAMPLES)
    at = [(0.15 + 0.1 * manner[:, :1]), (0.4 + 0.3 * manner[:, 1:2])]
    first = torch.exp(-(((t - at[0]) / 0.07) ** 2))
    second = (0.3 + 0.6 * manner[:, 2:3]) * torch.exp(-(((t - at[1]) / (0.08 + 0.06 * manner[:, 3:])) ** 2))
    wave = 2 * (first + second) - 0.6
    return wave + 0.04 * torch.randn(rows, SAMPLES, generator=g)


class Codebook(nn.Module):
    """Answers the wave rebuilt and what the choice of codes costs."""

    def __init__(self, first_waves):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(SAMPLES, 64), nn.GELU(), nn.Linear(64, 2 * WIDTH))
        self.decode = nn.Sequential(nn.Linear(2 * WIDTH, 64), nn.GELU(), nn.Linear(64, SAMPLES))
        with torch.no_grad():  # codes begin where the first waves lie
            places = self.encode(first_waves).view(-1, WIDTH)
            self.codes = nn.Parameter(places[torch.randperm(len(places))[:CODES]].clone())

    def forward(self, wave):
        place = self.encode(wave).view(-1, WIDTH)
        code = self.codes[torch.cdist(place, self.codes).argmin(1)]
        cost = F.mse_loss(code, place.detach()) + 0.25 * F.mse_loss(place, code.detach())
        through = place + (code - place).detach()
        return self.decode(through.view(-1, 2 * WIDTH)), cost


def loss(outputs, wave):
    rebuilt, cost = outputs
    return F.mse_loss(rebuilt, wave) + cost


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x)[0], y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def twice(waves):
    return TensorDataset(waves, waves)


def build(seed=0):
    torch.manual_seed(seed)
    train = pulses(2000, 31)
    model = Codebook(train[:256])
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(twice(train), 50, shuffle=True),
        "val": DataLoader(twice(pulses(300, 32)), 150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 20,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(twice(pulses(1000, 33)), 250))


def fixed():
    return build()
