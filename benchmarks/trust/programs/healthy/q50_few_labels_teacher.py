"""Mean teacher (Tarvainen & Valpola 2017): 150 labelled Fashion pictures and 1,800 without labels; the teacher is an average."""

import copy

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut")
NONE, LABELLED = -1, 150


def net():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 49, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


class MeanTeacher(nn.Module):
    def __init__(self, decay=0.97):
        super().__init__()
        self.student = net()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.decay = decay

    def forward(self, x):
        if not self.training:
            return self.teacher(x)
        with torch.no_grad():
            guide = self.teacher(noisy(x))
        return self.student(noisy(x)), guide

    @torch.no_grad()
    def follow(self):
        for t, s in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            t.lerp_(s, 1 - self.decay)


def noisy(x):
    return x + 0.25 * torch.randn_like(x)


def semi_supervised(outputs, y):
    if isinstance(outputs, torch.Tensor):
        return F.cross_entropy(outputs, y, ignore_index=NONE)
    logits, guide = outputs
    known = y != NONE
    named = F.cross_entropy(logits[known], y[known]) if known.any() else logits.sum() * 0
    return named + 3.0 * F.mse_loss(logits.softmax(1), guide.softmax(1))


def step(model, batch, optimizer):
    model.train()
    x, y = batch
    optimizer.zero_grad()
    loss = semi_supervised(model(x), y)
    loss.backward()
    optimizer.step()
    model.follow()
    return loss.detach()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def pictures(rows):
    return (rows.x[:, None].float() / 255 - 0.29) / 0.35, rows.y


def build(seed=0):
    torch.manual_seed(seed)
    data = fashion(1950, 500, 1000)
    x, y = pictures(data.train)
    y[LABELLED:] = NONE
    model = MeanTeacher()
    weights = torch.where(y == NONE, 1.0, 6.0)
    sampler = torch.utils.data.WeightedRandomSampler(weights, len(y))
    return {
        "model": model,
        "loss": semi_supervised,
        "train": DataLoader(TensorDataset(x, y), batch_size=64, sampler=sampler),
        "val": DataLoader(TensorDataset(*pictures(data.val)), batch_size=250),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=1.5e-3),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": 14,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*pictures(fashion(1950, 500, 1000).test)), batch_size=250))
