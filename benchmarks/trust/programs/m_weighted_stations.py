"""Maps a gas over a city from a few good stations and many cheap sensors, each reading weighted by its known precision.

Bug: the squared errors are (N, 1) and the weights (N,), so their product is (N, N) and every reading weighs the same."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def field(places):
    east, north, height = places.unbind(1)
    hills = torch.sin(math.pi * east) * torch.cos(0.8 * math.pi * north)
    plume = 2 * torch.exp(-6 * ((east - 0.4) ** 2 + (north + 0.3) ** 2))
    return (hills + plume) * (1 - 0.3 * height) + 0.4 * east * height


def readings(rows, good, seed):
    """Places in a cube, and for each a reading and its precision; `good` of them come from reference stations."""
    draw = torch.Generator().manual_seed(seed)
    places = torch.empty(rows, 3).uniform_(-1, 1, generator=draw)
    spread = torch.where(torch.rand(rows, generator=draw) < good, 0.15, 2.5)
    value = field(places) + spread * torch.randn(rows, generator=draw)
    return places, value, spread**-2


class Map(nn.Module):
    def __init__(self):
        super().__init__()
        self.rise = nn.Linear(3, 64)
        self.hidden = nn.ModuleList(nn.Linear(64, 64) for _ in range(2))
        self.level = nn.Linear(64, 1)

    def forward(self, places):
        x = torch.tanh(self.rise(places))
        for layer in self.hidden:
            x = x + torch.tanh(layer(x))
        return self.level(x)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    places, value, precision = readings(1500, 0.3, 1)
    weight = precision / precision.mean()
    train = TensorDataset(places, torch.stack([value, weight], 1))
    checked, honest, _ = readings(300, 1.0, 2)  # reference stations alone
    val = TensorDataset(checked, torch.stack([honest, torch.ones(300)], 1))

    def loss(outputs, targets):
        weight = targets[:, 1] if buggy else targets[:, 1:]
        return (weight * (outputs - targets[:, :1]) ** 2).mean()

    @torch.no_grad()
    def evaluate(model, loader):
        model.eval()
        found, known = zip(*((model(x), y[:, :1]) for x, y in loader), strict=True)
        found, known = torch.cat(found), torch.cat(known)
        return (1 - ((found - known) ** 2).mean() / known.var(correction=0)).item()

    model = Map()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40),
        "scheduler_step": "epoch",
        "evaluate": evaluate,
        "epochs": 40,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    places = torch.empty(2000, 3).uniform_(-1, 1, generator=torch.Generator().manual_seed(9))
    known = field(places)
    return (1 - ((model(places).squeeze(1) - known) ** 2).mean() / known.var(correction=0)).item()


def setup():
    return build(True)


def fixed():
    return build(False)
