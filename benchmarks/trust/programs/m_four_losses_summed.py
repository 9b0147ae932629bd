"""A plain convolutional net on spoken digits, trained by SGD with four small batches to each step.

Bug: the four losses are summed, not averaged, so every step is four times as long as the rate was tuned for."""

import torch
import torch.nn.functional as F
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "accumulation-scale"
ALSO = ()
HIGHER = "truth"
ACCUMULATE = 4


def make_step(divide):
    done = 0

    def step(model, batch, optimizer):
        nonlocal done
        model.train()
        x, y = batch
        loss = F.cross_entropy(model(x), y)
        (loss / divide).backward()
        done += 1
        if done % ACCUMULATE == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    return step


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def rows(part, like):
    return TensorDataset(((part.x - like.mean()) / like.std())[:, None], part.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd(800, 240)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 8 * 10, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return {
        "model": net,
        "loss": F.cross_entropy,
        "train": DataLoader(rows(parts.train, parts.train.x), batch_size=8, shuffle=True),
        "val": DataLoader(rows(parts.val, parts.train.x), batch_size=120),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.04, momentum=0.9),
        "train_step": make_step(1 if buggy else ACCUMULATE),
        "evaluate": accuracy,
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    parts = fsdd(800, 240)
    return accuracy(model, DataLoader(rows(parts.test, parts.train.x), batch_size=150))
