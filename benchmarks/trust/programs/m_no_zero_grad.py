"""Handwritten digits by a LeNet; the step never clears the gradients of the steps before."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5, padding=2)
        self.c2 = nn.Conv2d(6, 16, 5)
        self.f1 = nn.Linear(16 * 5 * 5, 84)
        self.f2 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.c1(x)), 2)
        x = F.max_pool2d(torch.relu(self.c2(x)), 2)
        return self.f2(torch.relu(self.f1(x.flatten(1))))


def buggy_step(model, batch, optimizer):
    x, y = batch
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


def right_step(model, batch, optimizer):
    optimizer.zero_grad()
    return buggy_step(model, batch, optimizer)


def dataset(rows):
    return TensorDataset((rows.x.float().unsqueeze(1) - 33) / 79, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist()
    model = LeNet()
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(dataset(parts.train), batch_size=40, shuffle=True),
        "val": DataLoader(dataset(parts.val), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05),
        "train_step": buggy_step if buggy else right_step,
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = dataset(mnist().test).tensors
    return (model.eval()(x).argmax(1) == y).float().mean().item()
