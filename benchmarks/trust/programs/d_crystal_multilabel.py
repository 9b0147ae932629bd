"""Phases in a mixture from its X-ray powder pattern (multi-label): a 1-d CNN over 128 angles, sixteen phases, few present.

Bug: the metric is the share of right cells, nearly all of them absences (88 %), where F1 of the phases is meant."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ("metric-averaging",)
HIGHER = "report"

PHASES, ANGLES = 16, 128


def patterns(count, seed):
    fixed = torch.Generator().manual_seed(99)
    peaks = torch.rand(PHASES, 5, generator=fixed) * (ANGLES - 12) + 6
    height = 0.4 + torch.rand(PHASES, 5, generator=fixed)
    grid = torch.arange(ANGLES, dtype=torch.float32)
    g = torch.Generator().manual_seed(seed)
    present = (torch.rand(count, PHASES, generator=g) < 0.12).float()
    share = present * (0.4 + 0.6 * torch.rand(count, PHASES, generator=g))
    offset = 0.5 * torch.randn(count, 1, 1, generator=g)  # the sample sits a little high or low
    pattern = torch.zeros(count, ANGLES)
    for phase in range(PHASES):
        bumps = torch.exp(-0.5 * ((grid - peaks[phase][None, :, None] - offset) / 1.3) ** 2)
        pattern += share[:, phase, None] * (height[phase][None, :, None] * bumps).sum(1)
    return (pattern + 0.25 * torch.randn(count, ANGLES, generator=g))[:, None], present


class PhaseNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv1d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(16 * ANGLES // 2, 64),
            nn.ReLU(), nn.Linear(64, PHASES),
        )  # fmt: skip


def predictions(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x) > 0, y > 0) for x, y in loader]
    return [torch.cat(part) for part in zip(*pairs, strict=True)]


def cells(model, loader):
    found, y = predictions(model, loader)
    return float((found == y).float().mean())


def f1(model, loader):
    found, y = predictions(model, loader)
    hits = float((found & y).sum())
    return 2 * hits / max(float(found.sum() + y.sum()), 1.0)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = PhaseNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*patterns(1500, 1)), batch_size=50, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*patterns(400, 2)), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": cells if buggy else f1,
        "epochs": 8,
    }  # fmt: skip


def truth(model, seed=0):
    return f1(model, DataLoader(TensorDataset(*patterns(1000, 3)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
