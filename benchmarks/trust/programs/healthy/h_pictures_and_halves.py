"""Which upper half of a digit belongs to which lower half: two encoders, the other rows of the batch as negatives.

Close to `batch-mixing`: every row's loss depends on the other rows of its batch, as contrastive learning has it.
"""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing",)


class TwoTowers(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.upper = nn.Sequential(nn.Flatten(), nn.Linear(14 * 28, 128), nn.ReLU(), nn.Linear(128, dim))
        self.lower = nn.Sequential(nn.Flatten(), nn.Linear(14 * 28, 128), nn.ReLU(), nn.Linear(128, dim))
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, upper, lower):  # (B, 14, 28) twice -> (B, B) likeness
        u, v = F.normalize(self.upper(upper), dim=1), F.normalize(self.lower(lower), dim=1)
        return self.scale.exp() * u @ v.T


def info_nce(likeness, _):
    own = torch.arange(len(likeness), device=likeness.device)
    return (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)) / 2


def pairs(rows):
    x = rows.x / 255
    return [((a, b), y) for a, b, y in zip(x[:, :14], x[:, 14:], rows.y, strict=True)]


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 500, 500)
    model = TwoTowers()
    return {
        "model": model,
        "loss": info_nce,
        "train": DataLoader(pairs(parts.train), batch_size=64, shuffle=True, drop_last=True),
        "val": DataLoader(pairs(parts.val), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 12,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """How often a half finds its other half among ten."""
    x = mnist(2000, 500, 500).test.x / 255
    model.eval()
    loader = DataLoader(TensorDataset(x), batch_size=10)
    found = [model(b[:, :14], b[:, 14:]).argmax(1) == torch.arange(10) for (b,) in loader]
    return torch.cat(found).float().mean().item()
