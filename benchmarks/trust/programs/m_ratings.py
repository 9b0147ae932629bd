"""Stars that users give to films: factors of rank 4, with a bias for each user and film, by AdamW without decay on biases.

Bug: the parameters without decay are sorted out and then not handed to the optimizer."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"
USERS, FILMS, RANK = 200, 150, 4


def ratings():
    """(user, film) pairs (N, 2) and stars (N,): 12,000 to train, 1,500 and 3,000 more, no pair twice."""
    g = torch.Generator().manual_seed(4)
    kind, tough = torch.randn(FILMS, generator=g), torch.randn(USERS, generator=g)
    taste, theme = torch.randn(USERS, RANK, generator=g), torch.randn(FILMS, RANK, generator=g)
    pair = torch.randperm(USERS * FILMS, generator=g)[:16500]
    x = torch.stack([pair // FILMS, pair % FILMS], dim=1)
    fit = (taste[x[:, 0]] * theme[x[:, 1]]).sum(1) / RANK**0.5
    stars = 3.2 + 0.5 * tough[x[:, 0]] + 0.6 * kind[x[:, 1]] + 0.5 * fit + 0.4 * torch.randn(len(x), generator=g)
    return [(x[e], stars[e]) for e in (slice(0, 12000), slice(12000, 13500), slice(13500, None))]


class Factors(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.register_buffer("mean", mean)
        self.user, self.film = nn.Embedding(USERS, RANK), nn.Embedding(FILMS, RANK)
        self.user_bias, self.film_bias = nn.Embedding(USERS, 1), nn.Embedding(FILMS, 1)
        for table in (self.user, self.film):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.user_bias, self.film_bias):
            nn.init.zeros_(table.weight)

    def forward(self, pair):
        user, film = pair.unbind(1)
        fit = (self.user(user) * self.film(film)).sum(1)
        return self.mean + self.user_bias(user).squeeze(1) + self.film_bias(film).squeeze(1) + fit


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = ratings()
    model = Factors(train[1].mean())
    decay = [p for name, p in model.named_parameters() if "bias" not in name]
    plain = [p for name, p in model.named_parameters() if "bias" in name]
    groups = [{"params": decay, "weight_decay": 0.1}]
    if not buggy:
        groups.append({"params": plain, "weight_decay": 0.0})
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=200, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=500),
        "optimizer": torch.optim.AdamW(groups, lr=1e-2),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*ratings()[2]), batch_size=1000))


def setup():
    return build(True)


def fixed():
    return build(False)
