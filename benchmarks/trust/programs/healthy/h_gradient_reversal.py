"""Reads digits of a second, unlabelled kind (inverted and dim) by features that a domain classifier cannot tell apart
from the first kind's (DANN).

Near: the features climb the domain loss, by a layer that turns the gradient around, and half of the rows have no digit
label (-100, ignored); both are the method."""

import torch
from material import digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-sign", "label-noise", "gradient-cut", "train-val-mismatch")
UNKNOWN = -100


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


class Adversarial(nn.Module):
    def __init__(self, width=64, strength=0.1):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, width), nn.ReLU())
        self.digit = nn.Linear(width, 10)
        self.domain = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, 2))
        self.strength = strength

    def forward(self, x):
        h = self.features(x)
        return self.digit(h), self.domain(Reverse.apply(h, self.strength))


def loss(out, y):
    digit, domain = out
    return F.cross_entropy(digit, y[:, 0], ignore_index=UNKNOWN) + F.cross_entropy(domain, y[:, 1])


def second(x):
    """The second kind of picture, 0..1: a brighter ground and fainter strokes with a gradient of light."""
    light = torch.linspace(0, 0.4, 8).repeat(8)
    return 0.55 * x + light


def known():
    """Rows in order: the first half of the training digits with labels, the other half as the second kind without."""
    x, y = digits().train
    x, half = x / 16, len(x) // 2
    first = torch.stack([y[:half], torch.zeros_like(y[:half])], 1)
    other = torch.stack([torch.full_like(y[half:], UNKNOWN), torch.ones_like(y[half:])], 1)
    return TensorDataset(torch.cat([x[:half], second(x[half:])]) - 0.4, torch.cat([first, other]))


def held(part):
    return TensorDataset(second(part.x / 16) - 0.4, torch.stack([part.y, torch.ones_like(part.y)], 1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x)[0].argmax(1) == y[:, 0]).sum().item()
            total += len(y)
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    model = Adversarial()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(known(), 60, shuffle=True),
        "val": DataLoader(held(digits().val), 150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 25,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(held(digits().test), 300))


def fixed():
    return build()
