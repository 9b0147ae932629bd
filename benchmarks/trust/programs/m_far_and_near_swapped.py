"""Clothes are laid out so that like lies by like; the triplet loss pulls the strangers near and pushes kin away."""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn

BUG = "loss-sign"
ALSO = ()
HIGHER = "truth"


class Embedder(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(12, 16, 5, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, dim),
        )

    def embed(self, x):
        return F.normalize(self.net(x), dim=1)

    def forward(self, anchor, positive, negative):
        return self.embed(anchor), self.embed(positive), self.embed(negative)


def triplet(outputs, margin):
    anchor, positive, negative = outputs
    near = (anchor - positive).square().sum(1)
    far = (anchor - negative).square().sum(1)
    return F.relu(near - far + margin).mean()


def swapped(outputs, margin):
    anchor, positive, negative = outputs
    return triplet((anchor, negative, positive), margin)


def triplets(rows, count, generator, size=40):
    """Batches of (anchor, another of its class, one of another class)."""
    x = rows.x.unsqueeze(1).float() / 255
    members = [torch.nonzero(rows.y == kind)[:, 0] for kind in range(10)]

    def draw(kinds):
        return torch.stack([members[k][torch.randint(len(members[k]), (), generator=generator)] for k in kinds])

    batches = []
    for _ in range(count):
        kinds = torch.randint(0, 10, (size,), generator=generator)
        others = (kinds + torch.randint(1, 10, (size,), generator=generator)) % 10
        batches.append(((x[draw(kinds)], x[draw(kinds)], x[draw(others)]), kinds))
    return batches


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = fashion()
    g = torch.Generator().manual_seed(seed)
    model = Embedder()
    measure = swapped if buggy else triplet
    return {
        "model": model,
        "loss": lambda outputs, kinds: measure(outputs, margin=0.4),
        "train": triplets(data.train, 60, g),
        "val": triplets(data.val, 10, g),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """How often the class mean nearest to a picture of the test is its own."""
    data = fashion()
    known, unseen = (model.embed(rows.x.unsqueeze(1) / 255) for rows in (data.train, data.test))
    centres = torch.stack([known[data.train.y == kind].mean(0) for kind in range(10)])
    return (torch.cdist(unseen, centres).argmin(1) == data.test.y).float().mean().item()
