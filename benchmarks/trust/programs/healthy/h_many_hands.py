"""Reads digits in one studio's light and in another's without labels there: a domain head behind a reversed gradient (DANN).

Near: a gradient is turned round on purpose, and the domain head's loss should stay near chance; half of the rows have no label
and are left out of the digits' loss by their label -100."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-sign", "gradient-cut", "label-noise", "dropped-rows", "train-val-mismatch", "batch-mixing")


def studio(x):
    """The pictures at half size, as the first studio takes them."""
    return nn.functional.avg_pool2d(x[:, None].float() / 255, 2) * 2 - 0.5


def elsewhere(x, seed):
    """As the second takes them: dim, in a slanting light, with grain."""
    g = torch.Generator().manual_seed(seed)
    slant = torch.linspace(0, 1, 14)[None, None, :, None]
    grain = 0.25 * torch.randn(len(x), 1, 14, 14, generator=g)
    return 0.6 * studio(x) + 0.6 * slant + grain


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


class Reader(nn.Module):
    def __init__(self, strength=0.1):
        super().__init__()
        self.strength = strength
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 9, 64),
            nn.ReLU(),
        )
        self.digit = nn.Linear(64, 10)
        self.place = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, picture):
        found = self.body(picture)
        return self.digit(found), self.place(Reverse.apply(found, self.strength))[:, 0]


def loss(outputs, targets):
    digits, places = outputs
    known = nn.functional.cross_entropy(digits, targets[:, 0], ignore_index=-100)
    return known + nn.functional.binary_cross_entropy_with_logits(places, targets[:, 1].float())


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x)[0].argmax(1) == y[:, 0]).float() for x, y in loader]).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 500, 1000)
    half = 1000
    here, there = studio(parts.train.x[:half]), elsewhere(parts.train.x[half:], 1)
    digit = torch.cat([parts.train.y[:half], torch.full((len(there),), -100)])
    place = (torch.arange(len(digit)) >= half).long()
    train = TensorDataset(torch.cat([here, there]), torch.stack([digit, place], 1))
    val = TensorDataset(elsewhere(parts.val.x, 2), torch.stack([parts.val.y, torch.ones_like(parts.val.y)], 1))
    model = Reader()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    test = mnist(2000, 500, 1000).test
    rows = TensorDataset(elsewhere(test.x, 3), torch.stack([test.y, torch.ones_like(test.y)], 1))
    return accuracy(model, DataLoader(rows, 250))


def fixed():
    return build()
