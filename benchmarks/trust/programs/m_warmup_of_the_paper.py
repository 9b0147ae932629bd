"""Spoken digits by a transformer; the rate warms up for the paper's 4,000 steps, and training has 240."""

import torch
from material import fsdd
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)  # what the schedule makes of the rate
HIGHER = "truth"


class SpeechTransformer(nn.Module):
    def __init__(self, width=32, frames=16):
        super().__init__()
        self.frontend = nn.Conv1d(43, width, 4, stride=2, padding=1)
        self.where = nn.Parameter(torch.zeros(frames, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(width, 10)

    def forward(self, x):
        x = self.frontend(x.transpose(1, 2)).transpose(1, 2)
        return self.fc(self.encoder(x + self.where).mean(dim=1))


def linear_warmup(steps):
    return lambda step: min(1.0, (step + 1) / steps)


def dataset(rows):
    return TensorDataset((rows.x + 7) / 4, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = map(dataset, fsdd())
    model = SpeechTransformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=30, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": optimizer,
        "scheduler": LambdaLR(optimizer, linear_warmup(4000 if buggy else 40)),
        "scheduler_step": "batch",
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = dataset(fsdd().test).tensors
    return (model.eval()(x).argmax(1) == y).float().mean().item()
