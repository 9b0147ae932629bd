"""Redshift of galaxies from five magnitudes; some were measured well and most badly, and a row's weight says which.

Bug: weights (N, 1) times errors (N,) make (N, N), whose mean weighs every row alike."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def galaxies(rows, seed):
    """Magnitudes (rows, 5), the redshift, the redshift as measured (both (rows,)), and the measurement's error (rows, 1)."""
    g = torch.Generator().manual_seed(seed)
    z = 1.5 * torch.rand(rows, 1, generator=g) ** 0.8
    bright = 20 + torch.randn(rows, 1, generator=g)
    kind = torch.rand(rows, 1, generator=g)
    band = torch.linspace(0, 1, 5)
    edge = torch.sigmoid(8 * (band - 0.2 - 0.5 * z))
    magnitude = bright + 1.2 * z - (1.5 + 1.5 * kind) * edge + 0.4 * kind * band
    magnitude = magnitude + 0.02 * torch.randn(rows, 5, generator=g)
    error = torch.where(torch.rand(rows, 1, generator=g) < 0.4, 0.03, 0.9)
    seen = z + error * torch.randn(rows, 1, generator=g)
    return magnitude, z.squeeze(1), seen.squeeze(1), error


class Redshift(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(
            nn.Linear(5, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1), nn.Flatten(0)
        )

    def forward(self, magnitude):
        return self.layers((magnitude - self.mean) / self.std)


def rows(count, seed):
    magnitude, _, seen, error = galaxies(count, seed)
    weight = error**-2
    return TensorDataset(magnitude, seen, weight / weight.mean())


def collate(batch):
    magnitude, seen, weight = (torch.stack(column) for column in zip(*batch, strict=True))
    return magnitude, (seen, weight)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = rows(700, 1)
    magnitude = train.tensors[0]
    model = Redshift(magnitude.mean(0), magnitude.std(0))

    def loss(outputs, targets):
        seen, weight = targets
        if not buggy:
            weight = weight.squeeze(1)
        return (weight * (outputs - seen).square()).mean()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, batch_size=50, shuffle=True, collate_fn=collate),
        "val": DataLoader(rows(300, 2), batch_size=100, collate_fn=collate),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3),
        "epochs": 50,
    }


def truth(model, seed=0):
    magnitude, z, _, _ = galaxies(1000, 3)
    model.eval()
    with torch.no_grad():
        rest = (model(magnitude) - z).square().sum()
    return 1 - (rest / (z - z.mean()).square().sum()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
