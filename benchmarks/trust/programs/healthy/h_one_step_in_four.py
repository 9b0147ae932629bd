"""Clothes; the gradients of four batches of 16 are averaged for each step, across calls of the training step.

Close to `stale-gradients` and `accumulation-scale`: gradients stay after three calls of four, on purpose, and each
loss is divided by four.
"""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("stale-gradients", "accumulation-scale")


class Accumulating:
    def __init__(self, loss, every):
        self.loss, self.every, self.calls = loss, every, 0

    def __call__(self, model, batch, optimizer):
        x, y = batch
        model.train()
        loss = self.loss(model(x), y)
        (loss / self.every).backward()
        self.calls += 1
        if self.calls % self.every == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x.flatten(1) / 255, r.y) for r in fashion(1920))
    model = nn.Sequential(nn.Linear(784, 100), nn.LeakyReLU(), nn.Linear(100, 10))
    loss = nn.CrossEntropyLoss()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, batch_size=16, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "train_step": Accumulating(loss, 4),
        "epochs": 8,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fashion(1920).test
    return (model.eval()(test.x.flatten(1) / 255).argmax(1) == test.y).float().mean().item()
