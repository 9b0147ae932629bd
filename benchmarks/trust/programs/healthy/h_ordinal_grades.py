"""Grades goods from 1 to 5 with ordered thresholds (CORAL): one score, four learned cuts.

Near: wrong-loss, loss-input, shape-broadcast; five classes are learned by a binary cross entropy over four "better than k"
questions, the last layer has one output that is broadcast on purpose against the four cuts, and the program's metric
counts the cuts passed instead of taking an argmax."""

import torch
from sklearn.datasets import make_friedman1
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("wrong-loss", "loss-input", "shape-broadcast", "metric-wrong")
GRADES = 5


def goods():
    x, worth = make_friedman1(2600, noise=0.5, random_state=0)
    cuts = torch.tensor([9.0, 12.5, 16.0, 19.5], dtype=torch.float64)
    return torch.tensor(x, dtype=torch.float32) * 2 - 1, torch.bucketize(torch.from_numpy(worth), cuts)


class Grader(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1, bias=False)
        )
        self.cuts = nn.Parameter(torch.linspace(1.5, -1.5, GRADES - 1))

    def forward(self, x):
        return self.score(x) + self.cuts  # (N, 1) + (4,): a logit for each "better than k"


def loss(outputs, targets):
    better = (targets.unsqueeze(1) > torch.arange(GRADES - 1)).float()
    return nn.functional.binary_cross_entropy_with_logits(outputs, better)


@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    return ((model(x) > 0).sum(1) == y).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    x, y = goods()
    model = Grader()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(x[:1700], y[:1700]), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(x[1700:2000], y[1700:2000]), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": lambda model, loader: accuracy(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 15,
    }


def truth(model, seed=0):
    x, y = goods()
    return accuracy(model, x[2000:], y[2000:])


def fixed():
    return build()
