"""A perceptron reads scanned digits; its last layer is a softmax although the loss applies one itself."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = digits()
    layers = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    if buggy:
        layers.append(nn.Softmax(dim=1))
    model = nn.Sequential(*layers)
    train = TensorDataset(data.train.x / 16, data.train.y)
    val = TensorDataset(data.val.x / 16, data.val.y)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "epochs": 10,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = digits().test
    model.eval()
    return (model(test.x / 16).argmax(1) == test.y).float().mean().item()
