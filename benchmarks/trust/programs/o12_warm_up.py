"""Tells film reviews' moods with self-attention pooling; the learning rate warms up and falls along a cosine.

Bug: the schedule counts batches but is stepped once an epoch, and so never leaves its warm-up."""

import math

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
EPOCHS = 3


class AttentionPool(nn.Module):
    def __init__(self, words=3000, width=32):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=material.PAD)
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(width, 2)

    def forward(self, ids):
        words = self.drop(self.embed(ids))
        score = self.score(words).squeeze(2).masked_fill(ids == material.PAD, -1e4)
        return self.out((score.softmax(1)[:, :, None] * words).sum(1))


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for ids, mood in loader:
            right += (model(ids).argmax(1) == mood).sum().item()
            rows += len(mood)
    return right / rows


def warm_cosine(steps, warm):
    """The factor of the learning rate at each of so many steps."""

    def factor(step):
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / (steps - warm))))

    return factor


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.sst2(train=20_000)
    order = torch.Generator().manual_seed(seed)
    train = DataLoader(TensorDataset(*parts.train), 50, shuffle=True, generator=order)
    model = AttentionPool()
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
    steps = EPOCHS * len(train)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train,
        "val": DataLoader(TensorDataset(*parts.val), 218),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, warm_cosine(steps, steps // 10)),
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": accuracy,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    return accuracy(model, [tuple(material.sst2(train=20_000).test)])


def setup():
    return build(True)


def fixed():
    return build(False)
