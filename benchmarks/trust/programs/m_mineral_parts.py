"""Parts of five minerals in a rock, from its reflectance at 60 wavelengths; convolutions and a KL divergence.

Bug: F.kl_div wants log-probabilities as its input and is given probabilities."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"
BANDS, MINERALS = 60, 5


def rocks(rows, seed):
    """Spectra (rows, 1, BANDS), scattered and noisy mixtures, and the parts of the minerals, (rows, MINERALS)."""
    g = torch.Generator().manual_seed(99)
    band = torch.linspace(0, 1, BANDS)
    centre = torch.rand(MINERALS, 3, 1, generator=g)
    wide = 0.04 + 0.1 * torch.rand(MINERALS, 3, 1, generator=g)
    pure = 0.8 - (0.35 * torch.exp(-(((band - centre) / wide) ** 2))).sum(1)
    g = torch.Generator().manual_seed(seed)
    drawn = -torch.log(torch.rand(rows, MINERALS, generator=g).clamp_min(1e-6))
    parts = drawn / drawn.sum(1, keepdim=True)
    mixed = parts @ pure
    mixed = mixed - 0.3 * mixed * (1 - mixed)
    light = 1 + 0.15 * torch.randn(rows, 1, generator=g)
    return (light * mixed + 0.01 * torch.randn(rows, BANDS, generator=g))[:, None], parts


def standard(x):
    """Standard normal variate: each spectrum by itself, which takes the light out."""
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True)


def network():
    return nn.Sequential(
        nn.Conv1d(1, 12, 7, padding=3),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(12, 24, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(24 * 15, 48),
        nn.ReLU(),
        nn.Linear(48, MINERALS),
    )


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x).softmax(1), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean(0)).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, parts = rocks(1000, 1)
    val_x, val_parts = rocks(250, 2)
    model = network()

    def loss(outputs, targets):
        found = F.softmax(outputs, dim=1) if buggy else F.log_softmax(outputs, dim=1)
        return F.kl_div(found, targets, reduction="batchmean")

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(standard(x), parts), batch_size=40, shuffle=True),
        "val": DataLoader(TensorDataset(standard(val_x), val_parts), batch_size=125),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 10,
    }


def truth(model, seed=0):
    x, parts = rocks(600, 3)
    return r2(model, DataLoader(TensorDataset(standard(x), parts), batch_size=200))


def setup():
    return build(True)


def fixed():
    return build(False)
