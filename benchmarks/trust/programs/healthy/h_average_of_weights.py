"""Scanned digits; the metric uses an exponential average of the weights, which no optimizer knows of.

Close to `frozen-parameters` and `optimizer-missing-parameters`: the average is a part of the module, without
gradients, and moves by its own rule in the training step.
"""

import copy

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters")


class Averaged(nn.Module):
    """The network while training, its average while evaluating."""

    def __init__(self, net, decay=0.98):
        super().__init__()
        self.net, self.decay = net, decay
        self.average = copy.deepcopy(net).requires_grad_(False)

    @torch.no_grad()
    def update(self):
        for slow, fast in zip(self.average.parameters(), self.net.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.decay)

    def forward(self, x):
        return self.net(x) if self.training else self.average(x)


loss_fn = nn.CrossEntropyLoss()


def train_step(model, batch, optimizer):
    x, y = batch
    model.train()
    loss = loss_fn(model(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    model.update()
    return loss.item()


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x / 8 - 1, r.y) for r in digits())
    model = Averaged(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)))
    return {
        "model": model,
        "loss": loss_fn,
        "train": DataLoader(train, batch_size=20, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.net.parameters(), lr=3e-3),
        "train_step": train_step,
        "epochs": 15,
    }


def fixed():
    return build()


def truth(model, seed=0):
    test = digits().test
    model.eval()
    return (model(test.x / 8 - 1).argmax(1) == test.y).float().mean().item()
