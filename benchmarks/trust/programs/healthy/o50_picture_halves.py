"""Two towers learn which upper and lower halves of clothes belong together; the other rows of a batch are the negatives.

Near: batch-mixing and unshuffled batches' makeup, since a row's loss depends on its batch by design; loss-input, since
the loss takes normalised codes times a learnt scale; one tower sees nothing of the other."""

import math

import material
import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("batch-mixing", "loss-input", "input-ignored")


class Tower(nn.Module):
    def __init__(self, code=32):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(14 * 28, 128), nn.ReLU(), nn.Linear(128, code))

    def forward(self, half):
        return nn.functional.normalize(self.net(half), dim=1)


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.upper, self.lower = Tower(), Tower()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, upper, lower):
        return self.log_scale.clamp(max=math.log(100.0)).exp() * self.upper(upper) @ self.lower(lower).T


def both_ways(outputs, targets):
    """A batch's own partners lie on the diagonal; the targets are the row numbers in the set, and not needed."""
    own = torch.arange(len(outputs))
    return (nn.functional.cross_entropy(outputs, own) + nn.functional.cross_entropy(outputs.T, own)) / 2


def halves(rows):
    x = (rows.x.float() / 255 - 0.286) / 0.353
    return [((upper, lower), row) for row, (upper, lower) in enumerate(zip(x[:, :14], x[:, 14:], strict=False))]


@torch.no_grad()
def found(model, loader):
    """The share of upper halves whose own lower half scores best in its batch (of a hundred)."""
    model.eval()
    right = rows = 0
    for (upper, lower), _ in loader:
        right += (model(upper, lower).argmax(1) == torch.arange(len(upper))).sum().item()
        rows += len(upper)
    return right / rows


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(3000, 500, 1000)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": Halves(),
        "loss": both_ways,
        "train": DataLoader(halves(parts.train), 100, shuffle=True, drop_last=True, generator=order),
        "val": DataLoader(halves(parts.val), 100),
        "evaluate": found,
        "epochs": 15,
    }


def truth(model, seed=0):
    return found(model, DataLoader(halves(material.fashion(3000, 500, 1000).test), 100))


def fixed():
    return build()
