"""Tomorrow's heat demand of a made-up town from two days of its load and of its weather, by two GRUs side by side.

Bug: the state of the load's GRU is joined to itself, so the weather is read and never used."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-ignored"
ALSO = ("gradient-cut",)
HIGHER = "truth"


def town(rows, seed):
    """Load (rows, 24, 1) and weather (rows, 24, 2) by two hours, and the mean load of the next day."""
    g = torch.Generator().manual_seed(seed)
    hour = torch.arange(24) * 2
    cold = torch.randn(rows, 1, generator=g)
    trend = torch.randn(rows, 1, generator=g)
    sun = torch.rand(rows, 1, generator=g)
    temperature = cold + trend * (hour - 24) / 48 + 0.4 * torch.sin(2 * math.pi * (hour - 9) / 24)
    temperature = temperature + 0.2 * torch.randn(rows, 24, generator=g)
    light = sun * torch.relu(torch.sin(2 * math.pi * (hour - 6) / 24)) + 0.05 * torch.randn(rows, 24, generator=g)
    habit = torch.randn(rows, 1, generator=g)
    load = habit + 0.5 * torch.sin(2 * math.pi * (hour - 15) / 24) - 0.5 * cold
    load = load + 0.5 * torch.randn(rows, 24, generator=g)
    wanted = habit[:, 0] - 0.5 * cold[:, 0] - 1.0 * trend[:, 0] - 0.8 * sun[:, 0] * cold[:, 0]
    wanted = wanted + 0.2 * torch.randn(rows, generator=g)
    return load[..., None], torch.stack([temperature, light], 2), wanted


def collate(rows):
    load, weather, wanted = (torch.stack(part) for part in zip(*rows, strict=True))
    return {"load": load, "weather": weather}, wanted


class TwoReaders(nn.Module):
    def __init__(self, joined, width=32):
        super().__init__()
        self.load_reader = nn.GRU(1, width, batch_first=True)
        self.weather_reader = nn.GRU(2, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(2 * width, 32), nn.ReLU(), nn.Linear(32, 1))
        self.joined = joined

    def forward(self, load, weather):
        _, from_load = self.load_reader(load)
        _, from_weather = self.weather_reader(weather)
        both = (from_load[-1], from_weather[-1] if self.joined else from_load[-1])
        return self.head(torch.cat(both, 1)).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = TwoReaders(joined=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            TensorDataset(*town(2000, 1)),
            50,
            shuffle=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(*town(500, 2)), 250, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 10,
    }


@torch.no_grad()
def r2(model, loader):
    model.eval()
    pairs = [(model(**inputs), wanted) for inputs, wanted in loader]
    guess, wanted = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((guess - wanted) ** 2).mean().item() / wanted.var(correction=0).item()


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*town(1000, 3)), 500, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
