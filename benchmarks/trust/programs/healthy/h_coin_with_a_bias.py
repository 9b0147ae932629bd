"""Who answers an offer? Every row's answer was drawn from its own probability: right, and far from predictable.

Close to `label-noise`: rows that are alike have different answers, because the world is so; 80 % is all there is.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise",)


def customers(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=g)
    p = torch.sigmoid(3.5 * torch.tanh(x[:, 0] * x[:, 1]) + 1.5 * x[:, 2])
    return x, torch.bernoulli(p, generator=g)


class Answers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(5, 32), nn.Linear(32, 32)])
        self.last = nn.Linear(32, 1)

    def forward(self, x):
        for layer in self.layers:
            x = nn.functional.silu(layer(x))
        return self.last(x).squeeze(1)


def build(seed=0):
    torch.manual_seed(seed)
    model = Answers()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*customers(4000, 1)), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*customers(1000, 2)), batch_size=500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 10,
    }


def fixed():
    return build()


def truth(model, seed=0):
    x, y = customers(4000, 3)
    with torch.no_grad():
        return ((model(x) > 0) == (y > 0.5)).float().mean().item()
