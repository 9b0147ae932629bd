"""Clothes by a small vision transformer; pictures are read one by one into a buffer and kept in memory.

Bug: what is kept is the buffer itself each time, so all rows are the last picture read."""

import material
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


class InMemory(Dataset):
    def __init__(self, rows, copy):
        buffer = np.empty((28, 28), np.float32)
        self.pictures, self.labels = [], rows.y
        for raw in rows.x.numpy():
            np.divide(raw, 255, out=buffer)
            self.pictures.append(torch.from_numpy(buffer.copy() if copy else buffer))

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        return (self.pictures[row] - 0.286) / 0.353, self.labels[row]


class ViT(nn.Module):
    """Sixteen patches of 7 by 7, two layers."""

    def __init__(self, size=48):
        super().__init__()
        self.patch = nn.Linear(49, size)
        self.place = nn.Parameter(torch.randn(1, 16, size) * 0.02)
        layer = nn.TransformerEncoderLayer(size, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 10))

    def forward(self, x):
        x = x.unfold(1, 7, 7).unfold(2, 7, 7).reshape(len(x), 16, 49)
        return self.head(self.layers(self.patch(x) + self.place).mean(1))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(2000, 500, 1000)
    model = ViT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    train = DataLoader(InMemory(parts.train, copy=not buggy), 50, shuffle=True)
    epochs = 6
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train,
        "val": DataLoader(InMemory(parts.val, copy=not buggy), 250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * len(train)),
        "scheduler_step": "batch",
        "evaluate": evaluate,
        "epochs": epochs,
    }


def truth(model, seed=0):
    x, y = material.fashion(2000, 500, 1000).test
    return evaluate(model, [((x.float() / 255 - 0.286) / 0.353, y)])


def setup():
    return build(True)


def fixed():
    return build(False)
