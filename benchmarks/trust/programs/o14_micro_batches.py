"""Trains a small CNN on handwritten digits with SGD, adding up the gradients of four micro-batches to each step.

Bug: the micro-batches' losses are added up without a division by their number."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "accumulation-scale"
ALSO = ("lr-too-high",)
HIGHER = "truth"
MICRO = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 49, 64),
            nn.ReLU(),
        )
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        return self.out(self.body(x))


class Accumulate:
    """One step of the optimizer for every so many micro-batches."""

    def __init__(self, loss, micro, divisor):
        self.loss, self.micro, self.divisor, self.seen = loss, micro, divisor, 0

    def __call__(self, model, batch, optimizer):
        model.train()
        x, y = batch
        loss = self.loss(model(x), y)
        (loss / self.divisor).backward()
        self.seen += 1
        if self.seen % self.micro == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def pictures(rows):
    return TensorDataset((rows.x[:, None].float() / 255 - 0.131) / 0.308, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(3200, 500, 1000)
    model, loss = Net(), nn.CrossEntropyLoss()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(pictures(parts.train), 8, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(pictures(parts.val), 250),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.025, momentum=0.9),
        "train_step": Accumulate(loss, MICRO, divisor=1 if buggy else MICRO),
        "evaluate": accuracy,
        "epochs": 5,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(pictures(material.mnist(3200, 500, 1000).test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
