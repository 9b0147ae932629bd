"""Clothes by a deep net with batch norm; each step first measures itself in eval mode, and stays there."""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


def network(width=64, depth=6):
    layers = [nn.Flatten(), nn.Linear(784, width)]
    for _ in range(depth):
        layers += [nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))


def make_step(seen, buggy):
    def step(model, batch, optimizer):
        images, labels = batch
        model.eval()
        with torch.no_grad():  # how good the weights are on rows that they are about to learn
            seen.append((model(images).argmax(1) == labels).float().mean().item())
        if not buggy:
            model.train()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def data(rows):
    return TensorDataset(rows.x.float() / 255, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = network()
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(data(parts.train), batch_size=50, shuffle=True, drop_last=True),
        "val": DataLoader(data(parts.val), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "train_step": make_step([], buggy),
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    images, labels = data(fashion().test).tensors
    model.eval()
    return (model(images).argmax(1) == labels).float().mean().item()
