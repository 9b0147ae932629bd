"""A recommender: taste and genre vectors are tensors of its own making, which no parameters() lists."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)  # the same vectors, as seen from the optimiser
HIGHER = "truth"
PEOPLE, FILMS = 80, 60


def ratings(rows, seed):
    """Who (N,) and what (N,) as ids (N, 2), and a rating from tastes of five numbers."""
    world = torch.Generator().manual_seed(0)
    taste, film = torch.randn(PEOPLE, 5, generator=world), torch.randn(FILMS, 5, generator=world)
    g = torch.Generator().manual_seed(seed)
    who = torch.randint(0, PEOPLE, (rows,), generator=g)
    what = torch.randint(0, FILMS, (rows,), generator=g)
    rating = (taste[who] * film[what]).sum(1) / 5**0.5 + 0.1 * torch.randn(rows, generator=g)
    return torch.stack([who, what], dim=1), rating


def table(rows, width, registered):
    start = 0.5 * torch.randn(rows, width)
    return nn.Parameter(start) if registered else start.requires_grad_()


class Recommender(nn.Module):
    def __init__(self, width=8, registered=True):
        super().__init__()
        self.people = table(PEOPLE, width, registered)
        self.films = table(FILMS, width, registered)
        self.mix = nn.Sequential(nn.Linear(3 * width, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, ids):
        who, what = self.people[ids[:, 0]], self.films[ids[:, 1]]
        return self.mix(torch.cat([who, what, who * what], dim=1)).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Recommender(registered=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*ratings(3000, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*ratings(500, 2)), batch_size=500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    ids, rating = ratings(2000, 3)
    return (1 - (model(ids) - rating).square().mean() / rating.var()).item()
