"""Digits as bytes of 0 to 255: the network itself scales them.

Close to `input-scale`: what the loader hands over is raw, what the first convolution sees is not.
"""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-scale",)


class Scale(nn.Module):
    def forward(self, pixels):
        return (pixels.float() / 255 - 0.1307) / 0.3081


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x[:, None], r.y) for r in mnist(1500))
    model = nn.Sequential(
        Scale(),
        nn.Conv2d(1, 16, 7, stride=3),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 9, 10),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=25, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "epochs": 6,
        "optimizer": torch.optim.NAdam(model.parameters(), lr=2e-3),
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = mnist(1500).test
    return (model(test.x[:, None]).argmax(1) == test.y).float().mean().item()
