"""Clothes with few labels: a student learns from labels and from a slow average of itself (mean teacher).

Close to `frozen-parameters`, `gradient-cut` and `accumulation-scale`: the teacher has no gradient and no optimizer,
and two halves of a batch are accumulated, each divided by two.
"""

import copy

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "gradient-cut", "accumulation-scale")


def convnet():
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2),
        nn.SiLU(),
        nn.Conv2d(12, 24, 5, stride=2),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(384, 10),
    )


class Step:
    def __init__(self, teacher):
        self.teacher = teacher

    def __call__(self, model, batch, optimizer):
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for x, y in zip(*(part.chunk(2) for part in batch), strict=True):
            logits = model(x + 0.05 * torch.randn_like(x))
            with torch.no_grad():
                wanted = self.teacher(x).softmax(1)
            loss = F.cross_entropy(logits, y) + 0.3 * F.mse_loss(logits.softmax(1), wanted)
            (loss / 2).backward()
            total += loss.item() / 2
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.teacher.parameters(), model.parameters(), strict=True):
                slow.mul_(0.95).add_(fast, alpha=0.05)
        return total


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x[:, None] / 255, r.y) for r in fashion(1500))
    model = convnet()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "train_step": Step(copy.deepcopy(model).requires_grad_(False)),
        "epochs": 6,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fashion(1500).test
    return (model(test.x[:, None] / 255).argmax(1) == test.y).float().mean().item()
