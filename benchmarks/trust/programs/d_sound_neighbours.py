"""Lays spoken digits into a space where like sounds are near (supervised contrastive loss), judged by recall at 1.

Bug: the recall looks up each recording among all of them, itself too, and so finds itself."""

import torch
from material import fsdd
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"


class Embedder(nn.Module):
    def __init__(self, bands=43, width=48, outputs=24):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(bands, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.GELU(),
            nn.MaxPool1d(2),
            nn.Conv1d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.GELU(),
            nn.AdaptiveAvgPool1d(4),
            nn.Flatten(),
            nn.Linear(4 * width, outputs),
        )

    def forward(self, x):
        return F.normalize(self.body(x), dim=1)


def contrastive(z, y, temperature=0.1):
    """Each row's mean log-chance of picking a row of its class among all other rows of the batch."""
    itself = torch.eye(len(y), dtype=torch.bool)
    log_chance = (z @ z.T / temperature).masked_fill(itself, -1e9).log_softmax(1)
    alike = (y[:, None] == y) & ~itself
    found = alike.sum(1)
    each = -(log_chance * alike).sum(1) / found.clamp(min=1)
    return each[found > 0].mean()


def recall(model, loader, others_only=True):
    """Share of the rows whose nearest neighbour has their class."""
    model.eval()
    with torch.no_grad():
        z, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    near = z @ z.T
    if others_only:
        near.fill_diagonal_(-1e9)
    return (y[near.argmax(1)] == y).float().mean().item()


def rows(part):
    return TensorDataset(((part.x + 7.0) / 4.0).transpose(1, 2), part.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    model = Embedder()
    return {
        "model": model,
        "loss": contrastive,
        "train": DataLoader(rows(parts.train), 60, shuffle=True),
        "val": DataLoader(rows(parts.val), 150),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": lambda model, loader: recall(model, loader, others_only=not buggy),
        "epochs": 8,
    }


def truth(model, seed=0):
    return recall(model, DataLoader(rows(fsdd().test), 150))


def setup():
    return build(True)


def fixed():
    return build(False)
