"""Sorts two-moon-like spirals with 30 labelled and 970 unlabelled rows by consistency with a moving average of itself.

Near: frozen-parameters and optimizer-missing-parameters, since the teacher takes no gradients but follows the student;
gradient-cut, since its answers are detached; label-noise, since unlabelled rows carry the target -1."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "label-noise", "class-imbalance")
LABELLED, NOISE = 30, 0.12


def spirals(count, seed):
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    along = torch.rand(count, generator=g)
    angle = 2 * math.pi * y / 3 + 2.2 * along
    radius = 0.35 + 1.4 * along
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return x + 0.08 * torch.randn(count, 2, generator=g), y


class Student(nn.Module):
    """The network and its teacher; it is the teacher that answers when the model is used."""

    def __init__(self):
        super().__init__()
        self.student = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 3))
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)

    def forward(self, x):
        if not self.training:
            return self.teacher(x)
        with torch.no_grad():
            aim = self.teacher(x + NOISE * torch.randn_like(x)).softmax(1)
        return self.student(x + NOISE * torch.randn_like(x)), aim

    @torch.no_grad()
    def follow(self, pace):
        for slow, fast in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(fast, pace)


def loss(outputs, targets):
    if isinstance(outputs, torch.Tensor):  # the teacher's answers, in use
        return F.cross_entropy(outputs, targets)
    scores, aim = outputs  # a batch of 100 holds three labelled rows on average
    return F.cross_entropy(scores, targets, ignore_index=-1, reduction="sum") / 3 + 4 * F.mse_loss(
        scores.softmax(1), aim
    )


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(x).argmax(1) == y for x, y in loader]
    return torch.cat(hits).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    x, y = spirals(1000, 1)
    hidden = y.clone()
    hidden[LABELLED:] = -1
    model = Student()

    def train_step(model, batch, optimizer):
        model.train()
        optimizer.zero_grad()
        inputs, targets = batch
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        model.follow(0.03)
        return value.item()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(x, hidden), batch_size=100, shuffle=True),
        "val": DataLoader(TensorDataset(*spirals(300, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=3e-3),
        "train_step": train_step,
        "evaluate": accuracy,
        "epochs": 60,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*spirals(900, 3)), batch_size=300))


def fixed():
    return build()
