"""Breast cancer from thirty measures; weight decay is 0.5 where 0.0005 was meant."""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "weight-decay-too-high"
ALSO = ()
HIGHER = "truth"


class Diagnosis(nn.Module):
    def __init__(self, features=30):
        super().__init__()
        self.fc1 = nn.Linear(features, 32)
        self.fc2 = nn.Linear(32, 16)
        self.fc3 = nn.Linear(16, 2)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)


def parts():
    found = breast_cancer()
    mean, std = found.train.x.mean(0), found.train.x.std(0)
    return [TensorDataset((rows.x - mean) / std, rows.y) for rows in found]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = parts()
    model = Diagnosis()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=16, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=0.5 if buggy else 0.0005),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = parts()[2].tensors
    said = model(x).argmax(1)
    return ((said[y == 0] == 0).float().mean() + (said[y == 1] == 1).float().mean()).item() / 2
