"""Two sensors see one event: two towers are taught to find each other's rows, the rest of the batch as negatives."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing",)


def events(rows, seed):
    w = torch.Generator().manual_seed(40)
    left, right = torch.randn(6, 16, generator=w), torch.randn(6, 20, generator=w)
    g = torch.Generator().manual_seed(seed)
    event = torch.randn(rows, 6, generator=g)
    a = torch.sin(event @ left) + 0.3 * torch.randn(rows, 16, generator=g)
    b = torch.tanh(event @ right) + 0.3 * torch.randn(rows, 20, generator=g)
    return TensorDataset(a, b)


def collate(rows):
    a, b = (torch.stack(column) for column in zip(*rows, strict=False))
    return {"left": a, "right": b}, torch.arange(len(a))


class Towers(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.left = nn.Sequential(nn.Linear(16, 96), nn.GELU(), nn.Linear(96, dim))
        self.right = nn.Sequential(nn.Linear(20, 96), nn.GELU(), nn.Linear(96, dim))
        self.log_scale = nn.Parameter(torch.tensor(math.log(8.0)))

    def forward(self, left, right):
        a, b = F.normalize(self.left(left), dim=1), F.normalize(self.right(right), dim=1)
        return self.log_scale.clamp(max=4.6).exp() * a @ b.T


def both_ways(scores, places):
    return (F.cross_entropy(scores, places) + F.cross_entropy(scores.T, places)) / 2


@torch.no_grad()
def first_hit(model, loader):
    """Share of the left rows that find theirs first among 100."""
    model.eval()
    return torch.cat([(model(**x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Towers()
    return {
        "model": model,
        "loss": both_ways,
        "train": DataLoader(events(4000, 41), batch_size=100, shuffle=True, collate_fn=collate),
        "val": DataLoader(events(500, 42), batch_size=100, collate_fn=collate),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3),
        "evaluate": first_hit,
        "epochs": 25,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return first_hit(model, DataLoader(events(2000, 43), batch_size=100, collate_fn=collate))
