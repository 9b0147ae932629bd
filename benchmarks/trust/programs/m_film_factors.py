"""Film ratings by matrix factorisation with biases (SVD-style): rating = mean + user bias + film bias + user . film.

Bug: the two bias tables are bare tensors on the module, no parameters, so the optimizer never hears of them.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"
USERS, FILMS, TASTES = 250, 150, 3


def ratings():
    """Users, films and stars (1 to 5, whole) of 9,000 ratings, no pair twice; train, val, test."""
    g = torch.Generator().manual_seed(5)
    users, films = 0.5 * torch.randn(USERS, TASTES, generator=g), 0.5 * torch.randn(FILMS, TASTES, generator=g)
    kind, fame = 0.45 * torch.randn(USERS, generator=g), 0.6 * torch.randn(FILMS, generator=g)
    pairs = torch.randperm(USERS * FILMS, generator=g)[:9000]
    user, film = pairs // FILMS, pairs % FILMS
    liking = 3.4 + kind[user] + fame[film] + (users[user] * films[film]).sum(1)
    stars = (liking + 0.4 * torch.randn(len(pairs), generator=g)).round().clamp(1, 5)
    cuts = (slice(0, 6000), slice(6000, 7500), slice(7500, None))
    return [(torch.stack([user[cut], film[cut]], 1), stars[cut]) for cut in cuts]


class BiasedFactors(nn.Module):
    def __init__(self, mean, dim=6, bare=False):
        super().__init__()
        self.users, self.films = nn.Embedding(USERS, dim), nn.Embedding(FILMS, dim)
        nn.init.normal_(self.users.weight, std=0.1)
        nn.init.normal_(self.films.weight, std=0.1)
        if bare:
            self.user_bias = torch.zeros(USERS, requires_grad=True)
            self.film_bias = torch.zeros(FILMS, requires_grad=True)
        else:
            self.user_bias = nn.Parameter(torch.zeros(USERS))
            self.film_bias = nn.Parameter(torch.zeros(FILMS))
        self.register_buffer("mean", mean)

    def forward(self, pairs):
        user, film = pairs[:, 0], pairs[:, 1]
        taste = (self.users(user) * self.films(film)).sum(1)
        return self.mean + self.user_bias[user] + self.film_bias[film] + taste


@torch.no_grad()
def r2(model, loader):
    model.eval()
    guesses, stars = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - (((guesses - stars) ** 2).sum() / ((stars - stars.mean()) ** 2).sum()).item()


def build(buggy, seed=0):
    train, val, _ = ratings()
    torch.manual_seed(seed)
    model = BiasedFactors(train[1].mean(), bare=buggy)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            TensorDataset(*train), batch_size=100, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*val), batch_size=500),
        "optimizer": optimizer,
        "evaluate": r2,
        "epochs": 8,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*ratings()[2]), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
