"""Ten yes/no questions per handwritten digit; the rare-class prior meant for the head goes into every bias."""

import math

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dead-units"
ALSO = ()
HIGHER = "truth"
PRIOR = 0.01  # how often a class is there, as in RetinaNet


class Detector(nn.Module):
    def __init__(self, everywhere):
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 5, stride=2, padding=2)
        self.body = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.neck = nn.Linear(24 * 7 * 7, 64)
        self.head = nn.Linear(64, 10)
        for name, layer in self.named_children():
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if everywhere or name == "head":
                nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.body(x))
        x = F.relu(self.neck(x.flatten(1)))
        return self.head(x)


def batches(rows, shuffle):
    pictures = rows.x.unsqueeze(1) / 255
    return DataLoader(TensorDataset(pictures, F.one_hot(rows.y, 10).float()), batch_size=64, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = mnist()
    model = Detector(everywhere=buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": batches(data.train, True),
        "val": batches(data.val, False),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    test = mnist().test
    model.eval()
    with torch.no_grad():
        scores = model(test.x.unsqueeze(1) / 255)
    return (scores.argmax(1) == test.y).float().mean().item()
