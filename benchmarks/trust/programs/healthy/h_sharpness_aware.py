"""Tells malignant from benign tumours with sharpness-aware minimisation (SAM): each step has two backward passes.

Near: the gradients are used before they are zeroed, and the weights are moved twice a step; the first pass only finds
the worst place nearby, its gradients are zeroed before the second, and the weights are put back before the optimizer's
own step."""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("stale-gradients", "accumulation-scale", "lr-too-high")
RADIUS = 0.05


def scaled():
    """The three parts by the training rows' mean and spread; classes as floats."""
    parts = breast_cancer()
    mean, spread = parts.train.x.mean(0), parts.train.x.std(0)
    return [TensorDataset((part.x - mean) / spread, part.y.float()) for part in parts]


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += ((model(x) > 0) == (y > 0.5)).sum().item()
            total += len(y)
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = scaled()
    model = nn.Sequential(nn.Linear(30, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1), nn.Flatten(0))
    loss = nn.BCEWithLogitsLoss()

    def step(model, batch, optimizer):
        model.train()
        x, y = batch
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        with torch.no_grad():
            length = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
            moves = [RADIUS * p.grad / (length + 1e-12) for p in model.parameters()]
            for p, move in zip(model.parameters(), moves, strict=True):
                p.add_(move)
        optimizer.zero_grad()
        loss(model(x), y).backward()
        with torch.no_grad():
            for p, move in zip(model.parameters(), moves, strict=True):
                p.sub_(move)
        optimizer.step()
        return value.detach()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 32, shuffle=True),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(scaled()[2], 150))


def fixed():
    return build()
