"""Predicts whether a guest likes a dish at a given hour from embeddings of guest and dish and a context (neural collaborative filtering).

Bug: the dish is concatenated twice, and the context, though it is handed in and encoded, is left out."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "input-ignored"
ALSO = ("dead-units",)
HIGHER = "truth"
GUESTS, DISHES = 80, 40


def visits(count, seed):
    """A dict of guest, dish and context (sine and cosine of the hour, heat), and whether it was liked (N,)."""
    own = torch.Generator().manual_seed(0)
    taste = torch.randn(GUESTS, 3, generator=own)
    kind = torch.randn(DISHES, 3, generator=own)
    best = 2 * math.pi * torch.rand(DISHES, generator=own)
    warm = torch.randn(DISHES, generator=own)
    g = torch.Generator().manual_seed(seed)
    guest, dish = torch.randint(GUESTS, (count,), generator=g), torch.randint(DISHES, (count,), generator=g)
    hour, heat = 2 * math.pi * torch.rand(count, generator=g), torch.randn(count, generator=g)
    score = 0.9 * (taste[guest] * kind[dish]).sum(1) + 1.2 * torch.cos(hour - best[dish]) - 0.8 * warm[dish] * heat
    liked = (torch.rand(count, generator=g) < torch.sigmoid(3 * score)).float()
    return {"guest": guest, "dish": dish, "context": torch.stack([hour.sin(), hour.cos(), heat], 1)}, liked


class Menu(nn.Module):
    def __init__(self, buggy, width=16):
        super().__init__()
        self.buggy = buggy
        self.guest, self.dish = nn.Embedding(GUESTS, width), nn.Embedding(DISHES, width)
        self.context = nn.Linear(3, width)
        self.net = nn.Sequential(nn.Linear(3 * width, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, guest, dish, context):
        guest, dish, context = self.guest(guest), self.dish(dish), self.context(context)
        if self.buggy:
            return self.net(torch.cat([guest, dish, dish], 1)).squeeze(1)
        return self.net(torch.cat([guest, dish, context], 1)).squeeze(1)


class Visits(torch.utils.data.Dataset):
    def __init__(self, count, seed):
        self.inputs, self.liked = visits(count, seed)

    def __len__(self):
        return len(self.liked)

    def __getitem__(self, index):
        return {name: column[index] for name, column in self.inputs.items()}, self.liked[index]


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [(model(**inputs) > 0) == (liked > 0.5) for inputs, liked in loader]
    return torch.cat(hits).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Menu(buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(Visits(8000, 1), batch_size=100, shuffle=True),
        "val": DataLoader(Visits(1000, 2), batch_size=500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5),
        "evaluate": accuracy,
        "epochs": 7,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Visits(3000, 3), batch_size=1000))


def setup():
    return build(True)


def fixed():
    return build(False)
