"""Softmax regression on wines: one linear layer from zero, fitted by L-BFGS on all rows at once with a line search.

Near: no-nonlinearity and constant-init, both right for a convex problem; lr-too-high, since a step of 1 is L-BFGS's
own; unshuffled, since the one batch holds every row; stale-gradients, since the closure clears them itself."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("no-nonlinearity", "constant-init", "lr-too-high", "unshuffled", "stale-gradients")


def scaled(part, train):
    return TensorDataset((part.x - train.x.mean(0)) / train.x.std(0), part.y)


def penalised(model, strength=1e-2):
    """Cross entropy with half a ridge on the weights, as classical logistic regression has it."""

    def loss(outputs, targets):
        return nn.functional.cross_entropy(outputs, targets) + strength / 2 * model.weight.square().sum()

    return loss


def newton_step(loss):
    def step(model, batch, optimizer):
        model.train()
        x, y = batch

        def closure():
            optimizer.zero_grad()
            value = loss(model(x), y)
            value.backward()
            return value

        return optimizer.step(closure)

    return step


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.wine()
    model = nn.Linear(13, 3)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    loss = penalised(model)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(scaled(parts.train, parts.train), len(parts.train.y)),
        "val": DataLoader(scaled(parts.val, parts.train), len(parts.val.y)),
        "optimizer": torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=10, line_search_fn="strong_wolfe"),
        "train_step": newton_step(loss),
        "evaluate": accuracy,
        "epochs": 4,
    }


def truth(model, seed=0):
    parts = material.wine()
    return accuracy(model, DataLoader(scaled(parts.test, parts.train), 50))


def fixed():
    return build()
