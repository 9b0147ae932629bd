"""An MLP predicts reaction rates of an enzyme with two substrates and an inhibitor from concentrations and temperature.

Bug: targets come as (N, 1) and the squeezed predictions as (N,), so that the loss broadcasts to (N, N)."""

import torch
from torch import nn

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def assays(count, seed):
    g = torch.Generator().manual_seed(seed)
    a, b, inhibitor = (10 ** (torch.rand(count, generator=g) * 3 - 1.5) for _ in range(3))
    celsius = 20 + 20 * torch.rand(count, generator=g)
    vmax = torch.exp(0.05 * (celsius - 30))
    rate = vmax * a / (a + 0.8 * (1 + inhibitor / 2)) * b / (b + 1.5)
    rate = rate * torch.exp(0.05 * torch.randn(count, generator=g))
    x = torch.stack([a.log10(), b.log10(), inhibitor.log10(), (celsius - 30) / 10], 1)
    return x, rate[:, None]


class RateNet(nn.Module):
    def __init__(self, width=48, flat=False):
        super().__init__()
        self.first = nn.Linear(4, width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, 1)
        self.flat = flat

    def forward(self, x):
        h = torch.nn.functional.silu(self.first(x))
        h = torch.nn.functional.silu(self.second(h))
        rate = self.last(h)
        return rate.squeeze(-1) if self.flat else rate


def huber(found, wanted, knee=0.5):
    """Quadratic near zero, linear beyond the knee: a few failed assays must not rule the fit."""
    gap = (found - wanted).abs()
    return torch.where(gap < knee, 0.5 * gap**2, knee * (gap - 0.5 * knee)).mean()


class Batches:
    """Plates of 64 assays, newly dealt each epoch."""

    def __init__(self, x, y, seed):
        self.x, self.y, self.generator = x, y, torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.x) // 64

    def __iter__(self):
        for rows in torch.randperm(len(self.x), generator=self.generator)[: len(self) * 64].view(-1, 64):
            yield self.x[rows], self.y[rows]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = RateNet(flat=buggy)
    return {
        "model": model,
        "loss": huber,
        "train": Batches(*assays(2048, 11), seed),
        "val": [assays(512, 12)],
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-4),
        "epochs": 20,
    }


def truth(model, seed=0):
    x, y = assays(1000, 13)
    model.eval()
    with torch.no_grad():
        found = model(x).reshape(-1)
    return 1 - float(((found - y[:, 0]) ** 2).mean() / y.var())


def setup():
    return build(True)


def fixed():
    return build(False)
