"""Quantiles (10, 50, 90 %) of the chlorine at a tap from flow, temperature, dose and pipe length; a residual MLP.

Bug: the pinball loss is clamped at 0.1 a row, so that rows with more than that send no gradient."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"

MEAN, SPREAD = 1.6, 0.8  # mg/l, of the town's readings in all
LEVELS = torch.tensor([0.1, 0.5, 0.9])


def taps(count, seed):
    g = torch.Generator().manual_seed(seed)
    u = torch.rand(count, 4, generator=g) * 2 - 1
    flow, warmth, dose, length = u.T
    decay = torch.exp(0.6 * warmth + 0.5 * length - 0.5 * flow)
    chlorine = (3.0 + 1.6 * dose) * torch.exp(-0.6 * decay)
    spread = 0.1 + 0.3 * torch.sigmoid(3 * warmth)
    reading = chlorine + spread * torch.randn(count, generator=g)
    return u, ((reading - MEAN) / SPREAD)[:, None]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, h):
        return h + self.body(h)


def pinball(found, wanted, cap=None):
    gap = wanted - found
    rows = torch.maximum(LEVELS * gap, (LEVELS - 1) * gap).mean(1)
    if cap is not None:  # a broken sensor must not rule the batch
        rows = rows.clamp(max=cap)
    return rows.mean()


def skill(model, loader):
    """1 - pinball loss over that of the constant quantiles."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    flat = torch.quantile(y[:, 0], LEVELS).expand(len(y), 3)
    return 1 - float(pinball(found, y) / pinball(flat, y))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 32), Residual(32), Residual(32), nn.Linear(32, 3))
    cap = 0.1 if buggy else None
    return {
        "model": model,
        "loss": lambda found, wanted: pinball(found, wanted, cap),
        "train": DataLoader(TensorDataset(*taps(1500, 1)), batch_size=50, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*taps(400, 2)), batch_size=400),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": skill,
        "epochs": 12,
    }  # fmt: skip


def truth(model, seed=0):
    return skill(model, DataLoader(TensorDataset(*taps(2000, 3)), batch_size=1000))


def setup():
    return build(True)


def fixed():
    return build(False)
