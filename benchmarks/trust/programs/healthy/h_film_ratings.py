"""Ratings of films by users: biased matrix factorisation, the global mean kept aside.

Near: the model is bilinear, with no activation; a strong L2 penalty on the factors is what keeps users with few
ratings from being overfitted; all biases begin at zero; a target is a noisy opinion of between 1 and 5 stars."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("no-nonlinearity", "weight-decay-too-high", "constant-init", "label-noise")

USERS, FILMS, TASTES = 300, 200, 3


@cache
def ratings():
    """Users and films (N, 2) and stars (N,), 22,000 different pairs in random order."""
    rng = np.random.default_rng(10)
    users, films = rng.normal(0, 0.75, (USERS, TASTES)), rng.normal(0, 0.75, (FILMS, TASTES))
    kind, good = rng.normal(0, 0.4, USERS), rng.normal(0, 0.5, FILMS)
    pairs = rng.permutation(USERS * FILMS)[:22_000]
    user, film = pairs // FILMS, pairs % FILMS
    opinion = 3.3 + kind[user] + good[film] + (users[user] * films[film]).sum(1) + rng.normal(0, 0.35, len(pairs))
    stars = (opinion * 2).round().clip(2, 10) / 2
    return torch.from_numpy(np.stack([user, film], axis=1)), torch.tensor(stars, dtype=torch.float32)


def part(begin, end):
    return TensorDataset(*(column[begin:end] for column in ratings()))


class Factors(nn.Module):
    def __init__(self, mean, width=6):
        super().__init__()
        self.register_buffer("mean", mean)
        self.users, self.films = nn.Embedding(USERS, width), nn.Embedding(FILMS, width)
        self.user_bias, self.film_bias = nn.Embedding(USERS, 1), nn.Embedding(FILMS, 1)
        for factors in (self.users, self.films):
            nn.init.normal_(factors.weight, std=0.1)
        for bias in (self.user_bias, self.film_bias):
            nn.init.zeros_(bias.weight)

    def forward(self, pairs):
        user, film = pairs.unbind(1)
        match = (self.users(user) * self.films(film)).sum(1)
        return self.mean + self.user_bias(user)[:, 0] + self.film_bias(film)[:, 0] + match

    def penalty(self, pairs):
        """Of the rows that the batch touches, as in the alternating-least-squares papers."""
        user, film = pairs.unbind(1)
        return self.users(user).square().sum(1).mean() + self.films(film).square().sum(1).mean()


def step(model, batch, optimizer):
    model.train()
    pairs, stars = batch
    loss = nn.functional.mse_loss(model(pairs), stars) + 0.05 * model.penalty(pairs)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        guessed, true = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((guessed - true).square().mean() / true.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    train = part(0, 16_000)
    model = Factors(train.tensors[1].mean())
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 128, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(part(16_000, 18_000), 500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "train_step": step,
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(part(18_000, 22_000), 500))


def fixed():
    return build()
