"""Unmixes the reflectance spectra of soil pixels into the shares of five minerals.

Bug: kl_div is given the shares themselves where it wants their logarithms."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"
BANDS, MINERALS = 60, 5


def pixels(rows, seed):
    """Reflectances (rows, 60) and shares (rows, 5) that add up to one; intimate mixing bends the sum a little."""
    library = torch.Generator().manual_seed(40)
    walk = torch.randn(MINERALS, BANDS, generator=library).cumsum(1)
    pure = 0.15 + 0.7 * torch.sigmoid((walk - walk.mean(1, keepdim=True)) / walk.std(1, keepdim=True))
    draw = torch.Generator().manual_seed(seed)
    weight = -torch.rand(rows, MINERALS, generator=draw).clamp(1e-6).log()
    shares = weight**1.5 / (weight**1.5).sum(1, keepdim=True)
    mixed = (shares @ pure.sqrt()) ** 2
    light = 1 + 0.1 * torch.randn(rows, 1, generator=draw)
    return light * mixed + 0.01 * torch.randn(rows, BANDS, generator=draw), shares


class Unmixer(nn.Module):
    """Answers the logits of the shares."""

    def __init__(self, mean, deviation):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.net = nn.Sequential(nn.Linear(BANDS, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, MINERALS))

    def forward(self, reflectance):
        return self.net((reflectance - self.mean) / self.deviation)


def divergence(logits, shares):
    return F.kl_div(logits.log_softmax(1), shares, reduction="batchmean")


def careless_divergence(logits, shares):
    return F.kl_div(logits.softmax(1), shares, reduction="batchmean")


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x).softmax(1), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = TensorDataset(*pixels(3000, 41))
    x = train.tensors[0]
    model = Unmixer(x.mean(0), x.std(0))
    return {
        "model": model,
        "loss": careless_divergence if buggy else divergence,
        "train": DataLoader(train, 64, shuffle=True),
        "val": DataLoader(TensorDataset(*pixels(500, 42)), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 15,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*pixels(2000, 43)), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
