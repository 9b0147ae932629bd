"""Tells the shares of six minerals in a powder from its reflectance spectrum, by the KL divergence of the shares.

Bug: the loss hands kl_div the predicted shares; it wants their logarithms."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"
MINERALS, BANDS = 6, 80


def powders(count, seed):
    """Spectra (N, BANDS) of mixtures with a saturating answer and noise, and their shares (N, MINERALS)."""
    generator = torch.Generator().manual_seed(0)
    band = torch.linspace(0, 1, BANDS)
    pure = torch.zeros(MINERALS, BANDS)
    for _ in range(4):
        place, depth = torch.rand(MINERALS, 1, generator=generator), torch.rand(MINERALS, 1, generator=generator)
        pure += depth * torch.exp(-(((band - place) / 0.08) ** 2))
    generator = torch.Generator().manual_seed(seed)
    gamma = -torch.rand(count, MINERALS, generator=generator).log()
    shares = gamma / gamma.sum(1, keepdim=True)
    x = 1 - torch.exp(-1.5 * shares @ pure) + 0.03 * torch.randn(count, BANDS, generator=generator)
    return x, shares


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.down(F.glu(self.up(self.norm(x)), 1))


def fit(model, loader):
    """R² over all shares."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(x).softmax(1), y) for x, y in loader], strict=True))
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean(0)) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)

    def loss(out, shares):
        predicted = F.softmax(out, 1) if buggy else F.log_softmax(out, 1)
        return F.kl_div(predicted, shares, reduction="batchmean")

    model = nn.Sequential(nn.BatchNorm1d(BANDS), nn.Linear(BANDS, 48), Gated(48), Gated(48), nn.Linear(48, MINERALS))
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*powders(2000, 1)), 50, shuffle=True),
        "val": DataLoader(TensorDataset(*powders(500, 2)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": fit,
        "epochs": 10,
    }


def truth(model, seed=0):
    return fit(model, DataLoader(TensorDataset(*powders(1000, 3)), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
