"""A small ResNet on handwritten digits; the zero start meant for each block's last norm is given to every norm."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dead-units"
ALSO = ("constant-init",)  # the same scales, by what they are set to
HIGHER = "truth"


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(h)))


class ResNet(nn.Module):
    def __init__(self, channels=12, zero_all=False):
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 5, stride=3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(Residual(channels), Residual(channels))
        self.fc = nn.Linear(channels, 10)
        for module in self.modules():
            if isinstance(module, Residual):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, nn.BatchNorm2d) and zero_all:
                nn.init.zeros_(module.weight)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        return self.fc(self.blocks(x).mean((2, 3)))


def tensors(rows):
    return TensorDataset((rows.x.float()[:, None] / 255 - 0.13) / 0.31, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist()
    model = ResNet(zero_all=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(tensors(parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(tensors(parts.val), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = tensors(mnist().test).tensors
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()
