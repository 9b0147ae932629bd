"""Redshifts of galaxies from magnitudes in five bands; each training redshift comes with its error, which weighs its row.

Bug: squared residuals of shape (N, 1) times weights of shape (N,) make a square in which no row has a weight of its own."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ("wrong-loss",)
HIGHER = "truth"


def galaxies(rows, seed, noisy):
    """Magnitudes (rows, 5), and targets (rows, 2): redshift and its error. A third are uncertain if `noisy`."""
    g = torch.Generator().manual_seed(seed)
    z = 1.5 * torch.rand(rows, generator=g) ** 0.8
    age, dust = torch.rand(rows, generator=g), torch.rand(rows, generator=g)
    edges = torch.tensor([0.2, 0.55, 0.9, 1.2, 1.45])
    break_ = torch.sigmoid((z.unsqueeze(1) - edges) * 6) * (1.0 + 0.5 * age.unsqueeze(1))
    bands = 20 + 1.5 * z.unsqueeze(1) + break_ + dust.unsqueeze(1) * torch.tensor([1.0, 0.8, 0.6, 0.4, 0.3])
    bands = bands + 0.06 * torch.randn(rows, 5, generator=g)
    error = torch.full((rows,), 0.03)
    if noisy:
        faint = torch.rand(rows, generator=g) < 0.2 + 0.4 * (z > 0.8)
        error[faint] = 0.9
    measured = z + error * torch.randn(rows, generator=g) if noisy else z
    return bands, torch.stack([measured, error], 1)


class Redshift(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, bands):
        return self.net(torch.cat([(bands - 22) / 2, bands[:, 1:] - bands[:, :-1]], 1))


def build_loss(square):
    def loss(z, targets):
        weights = (0.03 / targets[:, 1]) ** 2
        if square:
            return ((z - targets[:, :1]) ** 2 * weights).mean() / weights.mean()
        return ((z.squeeze(1) - targets[:, 0]) ** 2 * weights).mean() / weights.mean()

    return loss


def explained(model, loader):
    """Of the rows whose redshift is certain."""
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x)[:, 0], y) for x, y in loader], strict=False))
    sure = y[:, 1] < 0.1
    p, y = p[sure], y[sure, 0]
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Redshift()
    return {
        "model": model,
        "loss": build_loss(square=buggy),
        "train": DataLoader(TensorDataset(*galaxies(1200, 101, noisy=True)), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*galaxies(600, 102, noisy=True)), 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 25,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*galaxies(2000, 103, noisy=False)), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
