"""Clothes in batches of eight; batch norm got the momentum of another library, so it keeps the last batch alone."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


class DepthwiseNet(nn.Module):
    def __init__(self, momentum):
        super().__init__()

        def unit(a, b, stride):
            return nn.Sequential(
                nn.Conv2d(a, a, 3, stride, 1, groups=a, bias=False),
                nn.BatchNorm2d(a, momentum=momentum),
                nn.ReLU(),
                nn.Conv2d(a, b, 1, bias=False),
                nn.BatchNorm2d(b, momentum=momentum),
                nn.ReLU(),
            )

        self.stem = nn.Conv2d(1, 12, 4, 4)
        self.units = nn.Sequential(unit(12, 24, 1), unit(24, 32, 2))
        self.squeeze = nn.BatchNorm1d(32, momentum=momentum)
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.units(self.stem(x)).mean(dim=(-1, -2))
        return self.fc(self.squeeze(x))


def ready(rows):
    return TensorDataset(rows.x.float().unsqueeze(1) / 255, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = fashion(train=1600)
    model = DepthwiseNet(momentum=0.99 if buggy else 0.01)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(ready(data.train), batch_size=8, shuffle=True, drop_last=True),
        "val": DataLoader(ready(data.val), batch_size=125),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = ready(fashion().test).tensors
    return (model(x).argmax(1) == y).float().mean().item()
