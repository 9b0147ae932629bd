"""Is there a 3 among the eight scanned digits of a bag? A shared encoder, attention over the bag's members, one answer a bag.

Bug: the attention's softmax runs over dimension 0, the bags of the batch, rather than over a bag's members."""

import numpy as np
import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"

MEMBERS, SOUGHT = 8, 3


def bags(rows, count, seed):
    """Half of the bags hold one or two of the sought digit; the other members are any other digits."""
    rng = np.random.default_rng(seed)
    there, others = np.flatnonzero(rows.y == SOUGHT), np.flatnonzero(rows.y != SOUGHT)
    answer = rng.permutation(np.arange(count) % 2)
    members = rng.choice(others, (count, MEMBERS))
    for bag in np.flatnonzero(answer):
        places = rng.permutation(MEMBERS)[: rng.integers(1, 3)]
        members[bag, places] = rng.choice(there, len(places))
    x = (rows.x / 16)[members].view(count, MEMBERS, 1, 8, 8)
    return x, torch.tensor(answer, dtype=torch.float32)


class BagReader(nn.Module):
    def __init__(self, over, width=48):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, width),
            nn.ReLU(),
        )
        self.score = nn.Sequential(nn.Linear(width, 24), nn.Tanh(), nn.Linear(24, 1))
        self.over = over
        self.head = nn.Linear(width, 1)

    def forward(self, bag):
        members = self.encode(bag.flatten(0, 1)).unflatten(0, bag.shape[:2])
        weight = torch.softmax(self.score(members), dim=self.over)
        return self.head((weight * members).sum(1)).squeeze(1)


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [(model(x) > 0) == (y > 0.5) for x, y in batches]
    return float(torch.cat(hits).float().mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = BagReader(over=0 if buggy else 1)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(TensorDataset(*bags(parts.train, 1000, 1)), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*bags(parts.val, 300, 2)), batch_size=100),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    x, y = bags(digits().test, 600, 3)
    return accuracy(model, list(zip(x.split(50), y.split(50), strict=False)))


def setup():
    return build(True)


def fixed():
    return build(False)
