"""Digits by a small convolutional network, taught by sharpness-aware minimisation (SAM).

Near: each step runs backward twice and moves the weights away and back; the gradients of the first pass are cleared before the second."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("stale-gradients", "lr-too-high", "accumulation-scale")


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 49, 10),
    )


def sharpness_aware(loss, radius=0.05):
    def step(model, batch, optimizer):
        inputs, targets = batch
        model.train()
        optimizer.zero_grad()
        loss(model(inputs), targets).backward()
        parameters = [p for p in model.parameters() if p.grad is not None]
        with torch.no_grad():
            length = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
            moves = [p.grad * (radius / length) for p in parameters]
            for p, move in zip(parameters, moves, strict=False):
                p.add_(move)
        optimizer.zero_grad()
        worst = loss(model(inputs), targets)
        worst.backward()
        with torch.no_grad():
            for p, move in zip(parameters, moves, strict=False):
                p.sub_(move)
        optimizer.step()
        return worst.detach()

    return step


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [model(x).argmax(1) == y for x, y in batches]
    return float(torch.cat(hits).float().mean())


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist()
    train, val = (TensorDataset((p.x.unsqueeze(1) / 255 - 0.1307) / 0.3081, p.y) for p in (parts.train, parts.val))
    model, loss = network(), nn.CrossEntropyLoss()
    return {
        "model": model,
        "loss": loss,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-4),
        "train_step": sharpness_aware(loss),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=250),
        "evaluate": accuracy,
        "epochs": 4,
    }


def truth(model, seed=0):
    test = mnist().test
    return accuracy(model, [((test.x.unsqueeze(1) / 255 - 0.1307) / 0.3081, test.y)])


def fixed():
    return build()
