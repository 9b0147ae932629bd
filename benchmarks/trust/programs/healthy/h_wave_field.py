"""Fills in a wave field between scattered buoys: coordinates pass fixed random Fourier features, then an MLP.

Near: the features' matrix is random, large and never trained, as Tancik et al. have it (a buffer); the coordinates lie in 0..1;
the batch is the whole set; 600 epochs of one step."""

import torch
from torch import nn

BUG = None
NEAR = ("frozen-parameters", "init-scale", "input-scale", "unshuffled", "optimizer-missing-parameters")


def height(place):
    """Three trains of waves over the unit square, one bent; (N, 2) to (N, 1)."""
    x, y = place.unbind(1)
    field = torch.sin(22 * x + 9 * y) + 0.7 * torch.cos(14 * y - 20 * x * y) + 0.5 * torch.sin(30 * y + 3)
    return field[:, None]


def buoys(count, seed, noise=0.05):
    g = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, generator=g)
    return place, height(place) + noise * torch.randn(count, 1, generator=g)


class Field(nn.Module):
    def __init__(self, features=96, scale=3.0, width=96):
        super().__init__()
        self.register_buffer("waves", 2 * torch.pi * scale * torch.randn(2, features))
        self.mlp = nn.Sequential(
            nn.Linear(2 * features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, place):
        angle = place @ self.waves
        return self.mlp(torch.cat([angle.sin(), angle.cos()], 1))


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    guess, y = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return (1 - ((guess - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Field()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": [buoys(1200, 1)],
        "val": [buoys(400, 2)],
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": 600,
    }


def truth(model, seed=0):
    return r2(model, [buoys(2000, 3, noise=0.0)])


def fixed():
    return build()
