"""Tumours with a sigmoid at the end and BCELoss, which wants probabilities.

Close to `loss-input`: probabilities go into the loss that is made for them.
"""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-input",)


class Net(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.hidden = nn.Linear(30, 16)
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return torch.sigmoid(self.out(torch.tanh(self.hidden((x - self.mean) / self.std))))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = breast_cancer()
    model = Net(train.x.mean(0), train.x.std(0))
    return {
        "model": model,
        "loss": nn.BCELoss(),
        "train": DataLoader(TensorDataset(train.x, train.y.float()[:, None]), batch_size=20, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, val.y.float()[:, None]), batch_size=50),
        "optimizer": torch.optim.RMSprop(model.parameters(), lr=2e-3),
        "epochs": 15,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = breast_cancer().test
    return ((model(test.x)[:, 0] > 0.5) == (test.y == 1)).float().mean().item()
