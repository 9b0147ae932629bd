"""Breast cancer from 30 measures: logistic regression on 400 random Fourier features that stay as drawn.

Near: most numbers of the model are frozen and the learning rate is 1.0; the features are meant to be random (Rahimi and
Recht), and plain SGD on a convex loss of bounded features is stable at that rate."""

import math

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "lr-too-high", "no-nonlinearity")


class RandomWaves(nn.Module):
    def __init__(self, mean, std, waves=400):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.frequency = nn.Parameter(torch.randn(len(mean), waves) / 10, requires_grad=False)
        self.phase = nn.Parameter(2 * math.pi * torch.rand(waves), requires_grad=False)
        self.head = nn.Linear(waves, 1)

    def forward(self, x):
        waves = torch.cos((x - self.mean) / self.std @ self.frequency + self.phase)
        return self.head(waves * math.sqrt(2 / waves.shape[1])).squeeze(1)


def build(seed=0):
    torch.manual_seed(seed)
    parts = breast_cancer()
    model = RandomWaves(parts.train.x.mean(0), parts.train.x.std(0))
    return {
        "model": model,
        "loss": lambda scores, benign: nn.functional.binary_cross_entropy_with_logits(scores, benign.float()),
        "train": DataLoader(
            TensorDataset(*parts.train), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*parts.val), 100),
        "optimizer": torch.optim.SGD(model.head.parameters(), lr=1.0),
        "evaluate": accuracy,
        "epochs": 60,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([(model(x) > 0) == (y == 1) for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return accuracy(model, [breast_cancer().test])


def fixed():
    return build()
