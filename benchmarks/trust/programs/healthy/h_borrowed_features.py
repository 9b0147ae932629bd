"""Digits by the features of a network that learned to tell clothes apart; only a new last layer is trained.

Close to `frozen-parameters` and `optimizer-missing-parameters`: the features are pretrained, frozen on purpose and
left out of the optimizer.
"""

import torch
from material import fashion, mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters")


def pretrained_features():
    features = nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2), nn.ReLU(), nn.Flatten()
    )
    head = nn.Linear(24 * 25, 10)
    rows = fashion(1500).train
    optimizer = torch.optim.Adam([*features.parameters(), *head.parameters()], lr=2e-3)
    for x, y in DataLoader(TensorDataset(rows.x[:, None] / 255, rows.y), batch_size=50, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features(x)), y).backward()
        optimizer.step()
    return features


class Transferred(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = pretrained_features()
        for parameter in self.features.parameters():
            parameter.requires_grad = False
        self.head = nn.Linear(24 * 25, 10)

    def forward(self, x):
        return self.head(self.features(x))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x[:, None] / 255, r.y) for r in mnist(1500))
    model = Transferred()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.head.parameters(), lr=2e-3),
        "epochs": 6,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = mnist(1500).test
    return (model.eval()(test.x[:, None] / 255).argmax(1) == test.y).float().mean().item()
