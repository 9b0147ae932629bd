"""Digits by a small CNN under the one-cycle policy: from a rate of a 25th up to 0.02 and down to nothing.

Close to `schedule`, `lr-too-low` and `lr-too-high`: the rate moves by four orders of magnitude, stepped every batch,
and the cycle's length is the length of the training.
"""

import torch
from material import mnist
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("schedule", "lr-too-low", "lr-too-high")
EPOCHS = 5


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x.unsqueeze(1).float().div(255), r.y) for r in mnist(2000))
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 49, 10),
    )
    loader = DataLoader(train, batch_size=50, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02 / 25)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader,
        "val": DataLoader(val, batch_size=100),
        "optimizer": optimizer,
        "scheduler": OneCycleLR(optimizer, max_lr=0.02, total_steps=EPOCHS * len(loader)),
        "scheduler_step": "batch",
        "epochs": EPOCHS,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = mnist(2000).test
    return (model.eval()(test.x.unsqueeze(1) / 255).argmax(1) == test.y).float().mean().item()
