"""Ratings of 150 films by 200 people from learned vectors of both (matrix factorisation), on made-up tastes.

Bug: both tables of vectors start at one constant, so all their dimensions stay alike and the model has rank one."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-init"
ALSO = ()
HIGHER = "truth"
PEOPLE, FILMS, RANK = 200, 150, 6


def ratings():
    g = torch.Generator().manual_seed(11)
    people, films = torch.randn(PEOPLE, 4, generator=g), torch.randn(FILMS, 4, generator=g)
    mild, liked = torch.randn(PEOPLE, generator=g) * 0.6, torch.randn(FILMS, generator=g) * 0.6
    score = people @ films.T * 0.6 + mild[:, None] + liked
    score = score + 0.3 * torch.randn(PEOPLE, FILMS, generator=g) + 3
    pairs = torch.cartesian_prod(torch.arange(PEOPLE), torch.arange(FILMS))
    pairs = pairs[torch.randperm(len(pairs), generator=g)[:15000]]
    return pairs, score[pairs[:, 0], pairs[:, 1]]


class Factors(nn.Module):
    def __init__(self, mean, constant):
        super().__init__()
        self.person, self.film = nn.Embedding(PEOPLE, RANK), nn.Embedding(FILMS, RANK)
        self.person_bias, self.film_bias = nn.Embedding(PEOPLE, 1), nn.Embedding(FILMS, 1)
        self.register_buffer("mean", mean)
        for table in (self.person, self.film):
            if constant:
                nn.init.constant_(table.weight, 0.1)
            else:
                nn.init.normal_(table.weight, std=0.1)
        for table in (self.person_bias, self.film_bias):
            nn.init.zeros_(table.weight)

    def forward(self, pairs):
        person, film = pairs.unbind(1)
        match = (self.person(person) * self.film(film)).sum(1)
        return match + self.person_bias(person).squeeze(1) + self.film_bias(film).squeeze(1) + self.mean


def build(buggy, seed=0):
    torch.manual_seed(seed)
    pairs, score = ratings()
    model = Factors(score[:10000].mean(), constant=buggy)
    train, val = TensorDataset(pairs[:10000], score[:10000]), TensorDataset(pairs[10000:12000], score[10000:12000])
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 128, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2),
        "evaluate": r2,
        "epochs": 12,
    }


@torch.no_grad()
def r2(model, loader):
    model.eval()
    guess, score = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((guess - score) ** 2).mean().item() / score.var(correction=0).item()


def truth(model, seed=0):
    pairs, score = ratings()
    return r2(model, [(pairs[12000:], score[12000:])])


def setup():
    return build(True)


def fixed():
    return build(False)
