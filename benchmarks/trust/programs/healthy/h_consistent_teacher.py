"""Clothes from 400 labelled and 1,600 unlabelled pictures: a student agrees with a slow average of itself.

Near: the teacher has frozen weights that no optimizer holds and its answers are detached (it is averaged by hand, in
the step); most targets are -1, which the loss ignores; every batch shows the labelled rows four times as often as
chance would, as two-stream batches should."""

import copy

import torch
from material import fashion
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Sampler, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "gradient-cut", "optimizer-missing-parameters", "label-noise")

LABELLED, UNLABELLED = 400, -1


class TwoStreams(Sampler):
    """Batches of some labelled and some unlabelled rows; an epoch is one pass over the unlabelled."""

    def __init__(self, labels, each, seed):
        self.known = (labels != UNLABELLED).nonzero().flatten()
        self.unknown = (labels == UNLABELLED).nonzero().flatten()
        self.each, self.rng = each, torch.Generator().manual_seed(seed)

    def shuffled(self, rows):
        return rows[torch.randperm(len(rows), generator=self.rng)]

    def __iter__(self):
        known = torch.empty(0, dtype=torch.int64)
        for unknown in self.shuffled(self.unknown).split(self.each):
            if len(known) < self.each:
                known = self.shuffled(self.known)
            yield torch.cat([known[: self.each], unknown]).tolist()
            known = known[self.each :]

    def __len__(self):
        return -(-len(self.unknown) // self.each)


def classifier():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 49, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


class MeanTeacher(nn.Module):
    """The student while it trains, the teacher when it is asked."""

    def __init__(self, decay=0.98):
        super().__init__()
        self.student = classifier()
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.decay = decay

    def forward(self, pictures):
        return self.student(pictures) if self.training else self.teacher(pictures)

    @torch.no_grad()
    def follow(self):
        for slow, quick in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            slow.lerp_(quick, 1 - self.decay)


def disturbed(pictures):
    """Shifted by up to two pixels, and noisy."""
    down, right = torch.randint(-2, 3, (2,)).tolist()
    return torch.roll(pictures, (down, right), dims=(2, 3)) + 0.1 * torch.randn_like(pictures)


def supervised(logits, labels):
    return F.cross_entropy(logits, labels, ignore_index=UNLABELLED)


def step(model, batch, optimizer):
    model.train()
    pictures, labels = batch
    model.teacher.eval()
    with torch.no_grad():
        believed = model.teacher(pictures).softmax(1)
    logits = model(disturbed(pictures))
    loss = supervised(logits, labels) + 3 * F.mse_loss(logits.softmax(1), believed)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.follow()
    return loss


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def scaled(rows):
    return rows.x[:, None].float() / 255


def build(seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    labels = parts.train.y.clone()
    labels[LABELLED:] = UNLABELLED
    model = MeanTeacher()
    return {
        "model": model,
        "loss": supervised,
        "train": DataLoader(TensorDataset(scaled(parts.train), labels), batch_sampler=TwoStreams(labels, 32, seed)),
        "val": DataLoader(TensorDataset(scaled(parts.val), parts.val.y), 250),
        "optimizer": torch.optim.Adam(model.student.parameters(), lr=1e-3),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    test = fashion().test
    return accuracy(model, DataLoader(TensorDataset(scaled(test), test.y), 250))


def fixed():
    return build()
