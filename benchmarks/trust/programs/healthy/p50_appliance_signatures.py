"""An embedding of switch-on currents in which two recordings of one appliance lie together, by in-batch contrast."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing",)


def recordings(appliances, seed):
    """Two noisy, shifted recordings of each appliance: mains with harmonics, under a decaying inrush."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(128) / 32
    harmonics = torch.rand(appliances, 1, 4, 1, generator=g) * torch.tensor([1.0, 0.8, 0.6, 0.5])[:, None]
    decay = 0.3 + 2 * torch.rand(appliances, 1, 1, generator=g)
    inrush = 2 * torch.rand(appliances, 1, 1, generator=g)
    phase = 2 * math.pi * torch.rand(appliances, 2, 1, 1, generator=g)
    order = torch.tensor([1.0, 3, 5, 7])[:, None]
    x = (harmonics * torch.sin(order * (2 * math.pi * t + phase))).sum(2)
    x = x * (1 + inrush * torch.exp(-decay * t))
    x = x + 0.25 * torch.randn(x.shape, generator=g)
    return x[:, 0], x[:, 1]


def dataset(appliances, seed):
    a, b = recordings(appliances, seed)
    return TensorDataset(a, b, torch.arange(appliances))


def collate(rows):
    a, b, number = (torch.stack(part) for part in zip(*rows, strict=True))
    return (a, b), number


class Twin(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 24, 9, stride=2, padding=4),
            nn.ReLU(),
            nn.Conv1d(24, 48, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(48, 48, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(4),
            nn.Flatten(),
            nn.Linear(192, dim),
        )

    def embed(self, x):
        return F.normalize(self.features(x[:, None]), dim=1)

    def forward(self, a, b):
        return self.embed(a), self.embed(b)


def info_nce(outputs, _, temperature=0.1):
    a, b = outputs
    logits = a @ b.T / temperature
    same = torch.arange(len(a))
    return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2


@torch.no_grad()
def retrieval(model, loader):
    """How often the nearest second recording is the same appliance's."""
    model.eval()
    a, b = (torch.cat(z) for z in zip(*(model(*inputs) for inputs, _ in loader), strict=True))
    return ((a @ b.T).argmax(1) == torch.arange(len(a))).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Twin()
    return {
        "model": model,
        "loss": info_nce,
        "train": DataLoader(dataset(1500, 1), batch_size=100, shuffle=True, drop_last=True, collate_fn=collate),
        "val": DataLoader(dataset(200, 2), batch_size=100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": retrieval,
        "epochs": 25,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return retrieval(model, DataLoader(dataset(200, 3), batch_size=100, collate_fn=collate))
