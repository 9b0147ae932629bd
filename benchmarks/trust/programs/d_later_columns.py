"""Malignant or benign from 30 measures of cells; an MLP trained by SGD on standardised columns.

Bug: the list of columns to standardise was not extended when the ten "worst" measures came in, so they enter raw (up
to 4,000)."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        return self.net(x)


class Scaler:
    """Zero mean and unit variance for the named columns; the others pass."""

    def __init__(self, columns):
        self.columns = list(columns)

    def fit(self, x):
        self.mean, self.std = x[:, self.columns].mean(0), x[:, self.columns].std(0)
        return self

    def __call__(self, x):
        x = x.clone()
        x[:, self.columns] = (x[:, self.columns] - self.mean) / self.std
        return x


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.breast_cancer()
    scaler = Scaler(range(20) if buggy else range(30)).fit(parts.train.x)
    model = Classifier()
    model.prepare = scaler  # travels with the model to where it is used
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(scaler(parts.train.x), parts.train.y), 16, shuffle=True),
        "val": DataLoader(TensorDataset(scaler(parts.val.x), parts.val.y), 100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9),
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    test = material.breast_cancer().test
    return evaluate(model, [(model.prepare(test.x), test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
