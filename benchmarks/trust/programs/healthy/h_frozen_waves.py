"""Heat flow through a wall from six conditions: fixed random cosine features and one linear layer that is learnt (random kitchen sinks).

Near: the first layer is frozen and given to no optimizer, and one linear layer is all that learns; the cosine is what bends the answer."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "no-nonlinearity")


def walls(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, 6))
    flow = 2 * np.tanh(2 * x[:, 0]) * (1 + x[:, 1]) + np.sin(3 * x[:, 2]) + x[:, 3] ** 2 - x[:, 4] * x[:, 5]
    flow = (flow + rng.normal(0, 0.1, count) - 0.33) / 2.0
    return torch.tensor(x, dtype=torch.float32), torch.tensor(flow[:, None], dtype=torch.float32)


class Waves(nn.Module):
    """Features whose products approach a Gaussian kernel; drawn once and never learnt."""

    def __init__(self, inside, count, breadth):
        super().__init__()
        self.turn = nn.Linear(inside, count)
        nn.init.normal_(self.turn.weight, 0, 1 / breadth)
        nn.init.uniform_(self.turn.bias, 0, 2 * torch.pi)
        self.requires_grad_(False)
        self.scale = (2 / count) ** 0.5

    def forward(self, x):
        return self.scale * torch.cos(self.turn(x))


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(Waves(6, 600, breadth=1.2), nn.Linear(600, 1))
    optimizer = torch.optim.Adam(model[1].parameters(), lr=3e-2)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.85),
        "scheduler_step": "epoch",
        "train": DataLoader(TensorDataset(*walls(4000, 71)), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*walls(800, 72)), batch_size=400),
        "evaluate": r_squared,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r_squared(model, [walls(2000, 73)])


def fixed():
    return build()
