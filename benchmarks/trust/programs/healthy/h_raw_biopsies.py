"""Tells malignant from benign tumours from 30 raw measures (0.001 to 4,000) with a wide MLP behind a BatchNorm of its own.

Near: input-scale, since the columns go in raw and the first layer standardises them; weight-decay-too-high, since AdamW's 0.5
is decoupled and 320 rows need it; batch-mixing, since that layer takes the batch's moments (in training only)."""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-scale", "weight-decay-too-high", "batch-mixing", "class-imbalance", "dropped-rows")


def network():
    return nn.Sequential(
        nn.BatchNorm1d(30),
        nn.Linear(30, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(64, 2),
    )


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(x).argmax(1) == y for x, y in loader]
    return torch.cat(hits).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = breast_cancer()
    model = network()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.5}, {"params": plain, "weight_decay": 0.0}]
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=32, shuffle=True, drop_last=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=50),
        "optimizer": torch.optim.AdamW(groups, lr=2e-3),
        "evaluate": accuracy,
        "epochs": 60,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*breast_cancer().test), batch_size=149))


def fixed():
    return build()
