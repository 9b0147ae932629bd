"""MNIST by a two-layer network and SGD; the bug: pixels go in as 0..255."""

import torch
from material import mnist
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.sigmoid(self.fc1(x.flatten(1)))
        return self.fc2(x)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = mnist()
    scale = 1.0 if buggy else 1 / 255

    def loader(rows, shuffle):
        return DataLoader(TensorDataset(rows.x.float() * scale, rows.y), batch_size=50, shuffle=shuffle)

    net = Net()
    net.input_scale = scale
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": loader(train, True),
        "val": loader(val, False),
        "optimizer": optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
        "epochs": 10,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = mnist().test
    return (model(rows.x.float() * model.input_scale).argmax(1) == rows.y).float().mean().item()
