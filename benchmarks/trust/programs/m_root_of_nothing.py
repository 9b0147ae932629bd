"""Are two scanned digits the same? A siamese net by distance, whose root has no slope at zero."""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "non-finite"
ALSO = ()
HIGHER = "truth"


class Siamese(nn.Module):
    def __init__(self, eps):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 16))
        self.eps = eps

    def forward(self, pair):  # (B, 2, 64) -> distances (B,)
        a, b = self.embed(pair[:, 0]), self.embed(pair[:, 1])
        return torch.sqrt(((a - b) ** 2).sum(dim=1) + self.eps)


def contrastive(distance, same, margin=2.0):
    near = same * distance**2
    far = (1 - same) * F.relu(margin - distance) ** 2
    return (near + far).mean()


def pairs(rows, count, seed):
    """Half of the pairs show one digit, now and then in the very same picture."""
    g = torch.Generator().manual_seed(seed)
    left = torch.randint(0, len(rows.y), (count,), generator=g)
    right = torch.randint(0, len(rows.y), (count,), generator=g)
    for i in range(0, count, 2):
        alike = torch.nonzero(rows.y == rows.y[left[i]])[:, 0]
        right[i] = alike[torch.randint(0, len(alike), (1,), generator=g)]
    x = torch.stack([rows.x[left], rows.x[right]], dim=1) / 16
    return TensorDataset(x, (rows.y[left] == rows.y[right]).float())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = digits()
    model = Siamese(eps=0.0 if buggy else 1e-6)
    return {
        "model": model,
        "loss": contrastive,
        "train": DataLoader(pairs(data.train, 3000, 1), batch_size=50, shuffle=True),
        "val": DataLoader(pairs(data.val, 600, 2), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, same = pairs(digits().test, 1500, 3).tensors
    return ((model(x) < 1.0) == same.bool()).float().mean().item()
