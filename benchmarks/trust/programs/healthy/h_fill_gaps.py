"""Fills the gaps of simulated tide gauges: a Transformer encoder sees the series with a third of it masked away.

Near: target-leak and time-leak, as most inputs are equal to their target and the later hours are seen too; only the
masked hours, which the input has as zero, are in the loss and in the score."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("target-leak", "time-leak", "wrong-loss", "constant-input")
HOURS = 36


def tides(count, seed):
    """Standardised levels (N, 36)."""
    g = torch.Generator().manual_seed(seed)
    time = torch.arange(HOURS)
    phases = 2 * torch.pi * torch.rand(count, 2, 1, generator=g)
    heights = 0.5 + torch.rand(count, 2, 1, generator=g)
    twice = heights[:, 0] * torch.sin(2 * torch.pi * time / 12.42 + phases[:, 0])
    once = 0.5 * heights[:, 1] * torch.sin(2 * torch.pi * time / 25.82 + phases[:, 1])
    return twice + once + 0.1 * torch.randn(count, HOURS, generator=g)


class Gauges(Dataset):
    """Each time that a series is asked for in training it has other gaps; elsewhere its gaps are its own."""

    def __init__(self, levels, training):
        self.levels, self.training = levels, training
        self.gaps = torch.rand(levels.shape, generator=torch.Generator().manual_seed(9)) < 1 / 3

    def __len__(self):
        return len(self.levels)

    def __getitem__(self, index):
        level = self.levels[index]
        gap = torch.rand(HOURS) < 1 / 3 if self.training else self.gaps[index]
        return torch.stack([level.masked_fill(gap, 0), gap.float()], 1), torch.stack([level, gap.float()], 1)


class Filler(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Linear(2, width)
        self.places = nn.Parameter(0.1 * torch.randn(HOURS, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.places)).squeeze(2)


def gaps_only(outputs, targets):
    level, gap = targets.unbind(2)
    return ((outputs - level).square() * gap).sum() / gap.sum().clamp(min=1)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    pairs = [(model(x)[y[..., 1] > 0], y[..., 0][y[..., 1] > 0]) for x, y in loader]
    found, level = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - ((found - level).square().mean() / level.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Filler()
    train = DataLoader(Gauges(tides(1500, 1), training=True), batch_size=25, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": gaps_only,
        "train": train,
        "val": DataLoader(Gauges(tides(300, 2), training=False), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=8 * len(train)),
        "scheduler_step": "batch",
        "evaluate": r2,
        "epochs": 8,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(Gauges(tides(500, 3), training=False), batch_size=250))


def fixed():
    return build()
