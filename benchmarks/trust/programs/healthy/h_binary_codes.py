"""Squeezes pictures of clothes into 48 bits and draws them again from the bits alone.

Near: gradient-cut, dead-units; the bits come of a sign, which has no gradient, so the step is taken straight through it
(`soft + (bits - soft).detach()`): the detach cuts only the difference."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "dead-units", "target-leak")


class Coder(nn.Module):
    def __init__(self, bits=48):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(196, 128), nn.LeakyReLU(0.1), nn.Linear(128, bits))
        self.decoder = nn.Sequential(nn.Linear(bits, 128), nn.LeakyReLU(0.1), nn.Linear(128, 196))

    def forward(self, pictures):
        soft = torch.tanh(self.encoder(pictures))
        bits = torch.where(soft >= 0, 1.0, -1.0)
        return self.decoder(soft + (bits - soft).detach())


def scaled(pictures):
    """Halved to 14 by 14, about 0 to 1."""
    return nn.functional.avg_pool2d(pictures.float().unsqueeze(1) / 255, 2).flatten(1)


def loader(rows, batch, shuffle=False, seed=0):
    x = scaled(rows.x)
    return DataLoader(TensorDataset(x, x), batch, shuffle=shuffle, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def r2(model, rows):
    model.eval()
    drawn, known = zip(*((model(x), y) for x, y in rows), strict=True)
    drawn, known = torch.cat(drawn), torch.cat(known)
    return (1 - ((drawn - known) ** 2).sum() / ((known - known.mean(0)) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = Coder()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": loader(parts.train, 40, shuffle=True, seed=seed),
        "val": loader(parts.val, 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 25,
    }


def truth(model, seed=0):
    return r2(model, loader(fashion().test, 250))


def fixed():
    return build()
