"""Clothes by the convolutions of a network of digits, BatchNorm and all; every parameter is in the optimizer.

Close to `frozen-parameters` and `eval-mode`: the convolutions were pretrained and `requires_grad` is off, so the
optimizer leaves them alone; they stay in eval mode, so that BatchNorm keeps what it learned.
"""

import torch
from material import fashion, mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "eval-mode")


def pictures(rows):
    return TensorDataset(rows.x[:, None].float() / 255, rows.y)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.neck = nn.Linear(24 * 25, 64)
        self.head = nn.Linear(64, 10)
        self.frozen = False

    def train(self, mode=True):
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, x):
        return self.head(torch.relu(self.neck(self.backbone(x))))

    def transfer(self):
        """Keeps the backbone as it is, and begins anew behind it."""
        self.backbone.requires_grad_(False)
        self.neck.reset_parameters()
        self.head.reset_parameters()
        self.frozen = True
        return self.train()


def pretrained():
    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for x, y in DataLoader(pictures(mnist(1200).train), batch_size=40, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.transfer()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (pictures(rows) for rows in fashion(1500))
    model = pretrained()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 5,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = pictures(fashion(1500).test).tensors
    return (model.eval()(x).argmax(1) == y).float().mean().item()
