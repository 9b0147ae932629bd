"""Hourly hires of bicycles (log counts, made up) from hour, weekday and weather, by an MLP with a weekday embedding.

Bug: the hour is divided by 24 with //, so its sine and cosine are the same in all rows."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


def hires():
    """Hours drawn from two years: hour and weekday; temperature and rain; log of the count."""
    g = torch.Generator().manual_seed(3)
    hours = torch.arange(24 * 730)
    hours = hours[torch.randperm(len(hours), generator=g)[:4500]]
    hour, weekday, day = hours % 24, (hours // 24) % 7, hours // 24
    warm = 12 - 9 * torch.cos(2 * math.pi * day / 365) - 3 * torch.cos(2 * math.pi * (hour - 3) / 24)
    temperature = warm + 3 * torch.randn(len(hours), generator=g)
    rain = (torch.rand(len(hours), generator=g) < 0.2).float()
    work = torch.exp(-((hour - 8) ** 2) / 4) + torch.exp(-((hour - 17) ** 2) / 6)
    leisure = 0.8 * torch.exp(-((hour - 14) ** 2) / 18)
    curve = torch.where(weekday < 5, 1.6 * work + 0.5 * leisure, 1.6 * leisure)
    log = 3.5 + curve + 0.07 * temperature - 0.7 * rain + 0.2 * torch.randn(len(hours), generator=g)
    return torch.stack([hour, weekday], 1), torch.stack([temperature, rain], 1), log


class Demand(nn.Module):
    def __init__(self):
        super().__init__()
        self.weekday = nn.Embedding(7, 4)
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, clock, weekday, weather):
        return self.layers(torch.cat([clock, self.weekday(weekday), weather], 1)).squeeze(1)


def prepared(whole=False):
    """Hour as a point of the circle, weather and log counts standardised by the training rows."""
    calendar, weather, log = hires()
    hour, weekday = calendar.unbind(1)
    turn = 2 * math.pi * (hour // 24 if whole else hour / 24)
    clock = torch.stack([turn.sin(), turn.cos()], 1)
    weather = (weather - weather[:2600].mean(0)) / weather[:2600].std(0)
    return clock, weekday, weather, (log - log[:2600].mean()) / log[:2600].std()


def collate(rows):
    clock, weekday, weather, log = (torch.stack(part) for part in zip(*rows, strict=True))
    return {"clock": clock, "weekday": weekday, "weather": weather}, log


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = TensorDataset(*prepared(whole=buggy))
    train, val = (torch.utils.data.Subset(data, part) for part in (range(2600), range(2600, 3300)))
    model = Demand()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 64, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 350, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 20,
    }


@torch.no_grad()
def r2(model, loader):
    model.eval()
    pairs = [(model(**inputs), log) for inputs, log in loader]
    guess, log = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((guess - log) ** 2).mean().item() / log.var(correction=0).item()


def truth(model, seed=0):
    clock, weekday, weather, log = (part[3300:] for part in prepared())
    return r2(model, [({"clock": clock, "weekday": weekday, "weather": weather}, log)])


def setup():
    return build(True)


def fixed():
    return build(False)
