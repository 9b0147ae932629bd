"""Clothes by a convolutional network; the rate meant to fall every second epoch falls every second batch."""

import torch
from material import fashion
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ()
HIGHER = "truth"


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 16, 10),
    )


def loader(rows, shuffle=False):
    images = rows.x.float().unsqueeze(1) / 255
    return DataLoader(TensorDataset(images, rows.y), batch_size=64, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = fashion()
    model = cnn()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader(data.train, shuffle=True),
        "val": loader(data.val),
        "optimizer": optimizer,
        "scheduler": optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.3),
        "scheduler_step": "batch" if buggy else "epoch",
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for images, labels in loader(fashion().test):
            right += (model(images).argmax(1) == labels).sum().item()
            rows += len(labels)
    return right / rows
