"""Reads spoken digits from 240 labelled and 660 unlabelled recordings: a student follows a moving average of itself.

Near: the teacher's parameters take no gradient and are in no optimizer (they follow the student), its outputs are
detached, and most rows have no label; that is the mean teacher."""

import copy

import torch
from material import fsdd
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "label-noise", "dropped-rows")
LABELLED, UNKNOWN, EPOCHS = 240, -100, 25


def network():
    return nn.Sequential(
        nn.Conv1d(43, 48, 3, padding=1),
        nn.GroupNorm(6, 48),
        nn.GELU(),
        nn.MaxPool1d(2),
        nn.Conv1d(48, 64, 3, padding=1),
        nn.GroupNorm(8, 64),
        nn.GELU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(256, 10),
    )


class MeanTeacher(nn.Module):
    """Both networks' answers in training; the teacher's alone in use."""

    def __init__(self, decay=0.97):
        super().__init__()
        self.student = network()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.decay = decay

    def forward(self, x):
        if not self.training:
            return self.teacher(x)
        with torch.no_grad():
            aim = self.teacher(noisy(x))
        return self.student(noisy(x)), aim

    @torch.no_grad()
    def follow(self):
        for late, new in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            late.lerp_(new, 1 - self.decay)


def noisy(x):
    return x + 0.1 * torch.randn_like(x)


def loss(out, y, consistency=10.0):
    if isinstance(out, torch.Tensor):  # the teacher's answer, in use
        return F.cross_entropy(out, y, ignore_index=UNKNOWN)
    student, aim = out
    known = y != UNKNOWN
    named = F.cross_entropy(student[known], y[known], reduction="sum") / known.sum().clamp(min=1)
    return named + consistency * F.mse_loss(student.softmax(1), aim.softmax(1))


def rows(part):
    return TensorDataset(((part.x + 7.0) / 4.0).transpose(1, 2), part.y)


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    parts.train.y[LABELLED:] = UNKNOWN
    model = MeanTeacher()
    train = DataLoader(rows(parts.train), 60, shuffle=True)
    done = 0

    def step(model, batch, optimizer):
        nonlocal done
        model.train()
        optimizer.zero_grad()
        ramp = min(1.0, done / (5 * len(train)))
        value = loss(model(batch[0]), batch[1], 10 * ramp)
        value.backward()
        optimizer.step()
        model.follow()
        done += 1
        return value.detach()

    return {
        "model": model,
        "loss": loss,
        "train": train,
        "val": DataLoader(rows(parts.val), 150),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=1e-3),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(rows(fsdd().test), 150))


def fixed():
    return build()
