"""Foretells the amplitude of a driven, damped spring from its frequency, the drive's and its damping (simulated).

Bug: squared errors are clamped at one to tame outliers, so that the worst rows send no gradient at all."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"


def drives(rows, seed):
    """The steady amplitude has a sharp peak where the drive meets the spring; gauges are off by 2 %."""
    draw = torch.Generator().manual_seed(seed)
    natural, drive, damping = (
        low + (high - low) * torch.rand(rows, generator=draw) for low, high in ((1.0, 3.0), (0.5, 4.0), (0.12, 0.5))
    )
    amplitude = 1 / ((natural**2 - drive**2).square() + (damping * drive).square()).sqrt()
    x = torch.stack([natural, drive, damping], dim=1)
    return x, amplitude * (1 + 0.02 * torch.randn(rows, generator=draw))


class Scale:
    def __init__(self, values):
        self.mean, self.std = values.mean(0), values.std(0)

    def __call__(self, values):
        return (values - self.mean) / self.std


def huber(outputs, targets):
    return nn.functional.huber_loss(outputs, targets, delta=1.0)


def clamped_squares(outputs, targets):
    return (0.5 * (outputs - targets).square()).clamp(max=0.5).mean()


class Spring(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    out, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    (x, y), (val_x, val_y) = drives(3000, 0), drives(400, 1)
    scale_x, scale_y = Scale(x), Scale(y)
    train = TensorDataset(scale_x(x), scale_y(y))
    model = Spring()
    return {
        "model": model,
        "loss": clamped_squares if buggy else huber,
        "train": DataLoader(train, 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(scale_x(val_x), scale_y(val_y)), 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 40,
    }


def truth(model, seed=0):
    (x, y), (test_x, test_y) = drives(3000, 0), drives(1000, 2)
    return r2(model, [(Scale(x)(test_x), Scale(y)(test_y))])


def setup():
    return build(True)


def fixed():
    return build(False)
