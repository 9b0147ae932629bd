"""Yield of a vineyard from soil and weather, min-max scaled and clipped into 0..1 for safety.

Bug: the clip stands before the scaling, so every measure larger than one becomes the same number."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


def plots(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    u = torch.rand(rows, 9, generator=g)
    low = torch.tensor([4.5, 200.0, 8.0, 0.05, 0.0, 1200.0, 0.01, 10.0, 2.0])
    high = torch.tensor([8.5, 900.0, 22.0, 0.95, 0.6, 2400.0, 0.30, 60.0, 40.0])
    x = low + u * (high - low)  # acidity, rain, warmth, clay, slope, sun, humus, age, depth
    y = -6 * (u[:, 0] - 0.5) ** 2 + 2 * u[:, 1] * u[:, 3] + 1.5 * u[:, 2] + u[:, 5] + u[:, 6] - 2 * (u[:, 7] - 0.4) ** 2
    return x, y - u[:, 4] + 0.15 * torch.randn(rows, generator=g)


class MinMax:
    def __init__(self, x: Tensor, buggy: bool) -> None:
        self.buggy = buggy
        seen = x.clamp(0, 1) if buggy else x
        self.low, self.span = seen.min(0).values, (seen.max(0).values - seen.min(0).values).clamp_min(1e-6)

    def __call__(self, x: Tensor) -> Tensor:
        if self.buggy:
            return (x.clamp(0, 1) - self.low) / self.span
        return ((x - self.low) / self.span).clamp(0, 1)


class Yield(nn.Module):
    def __init__(self, scale: MinMax) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(nn.Linear(9, 64), nn.ELU(), nn.Linear(64, 32), nn.ELU(), nn.Linear(32, 1))

    def forward(self, plot: Tensor) -> Tensor:
        return self.layers(plot).squeeze(1)


def build(buggy: bool, seed: int = 0):
    torch.manual_seed(seed)
    x, y = plots(1500, 41)
    scale = MinMax(x[:1200], buggy)
    model = Yield(scale)
    train = TensorDataset(scale(x[:1200]), y[:1200])
    val = TensorDataset(scale(x[1200:]), y[1200:])

    def as_dict(rows):
        x, y = zip(*rows, strict=False)
        return {"plot": torch.stack(x)}, torch.stack(y)

    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=40, shuffle=True, collate_fn=as_dict),
        "val": DataLoader(val, batch_size=100, collate_fn=as_dict),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 30,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = plots(1000, 43)
    return (1 - ((model(model.scale(x)) - y) ** 2).mean() / y.var()).item()
