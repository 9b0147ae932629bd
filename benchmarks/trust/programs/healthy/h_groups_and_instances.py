"""Clothes by a CNN with InstanceNorm, then GroupNorm: every picture is normalised by itself.

Close to `batch-mixing` and `constant-input`: brightness and contrast are taken away on purpose, rows never meet.
"""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "constant-input")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, stride=2)
        self.norm1 = nn.InstanceNorm2d(16, affine=True)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2)
        self.norm2 = nn.GroupNorm(4, 32)
        self.head = nn.Linear(32 * 36, 10)

    def forward(self, x):
        x = nn.functional.hardswish(self.norm1(self.conv1(x)))
        x = nn.functional.hardswish(self.norm2(self.conv2(x)))
        return self.head(torch.flatten(x, 1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x[:, None] / 255, r.y) for r in fashion(1600))
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 4,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fashion(1600).test
    return (model(test.x[:, None] / 255).argmax(1) == test.y).float().mean().item()
