"""A mean teacher on scanned digits, few of them labelled; the step clears the gradients of the teacher."""

import copy

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"
UNKNOWN = -1


def student():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 16, 10),
    )


def make_step(teacher, buggy):
    def step(model, batch, optimizer):
        x, y = batch
        to_clear = teacher if buggy else model
        to_clear.zero_grad()
        noisy = model(x + 0.1 * torch.randn_like(x))
        with torch.no_grad():
            aim = teacher(x).softmax(1)
        loss = F.cross_entropy(noisy, y, ignore_index=UNKNOWN) + (noisy.softmax(1) - aim).square().sum(1).mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), model.parameters(), strict=True):
                slow.lerp_(fast, 0.05)
        return loss

    return step


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    y = parts.train.y.clone()
    y[torch.arange(len(y)) % 3 != 0] = UNKNOWN
    model = student()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(ignore_index=UNKNOWN),
        "train": DataLoader(TensorDataset(parts.train.x / 16, y), batch_size=45, shuffle=True),
        "val": DataLoader(TensorDataset(parts.val.x / 16, parts.val.y), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "train_step": make_step(copy.deepcopy(model).requires_grad_(False), buggy),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = digits().test
    return (model(test.x / 16).argmax(1) == test.y).float().mean().item()
