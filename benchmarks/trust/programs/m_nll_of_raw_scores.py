"""Spoken digits by a GRU; NLLLoss is fed the raw scores, without a log-softmax before it."""

import torch
import torch.nn.functional as F
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"


class SpokenDigit(nn.Module):
    def __init__(self, normalise):
        super().__init__()
        self.gru = nn.GRU(43, 40, batch_first=True)
        self.fc = nn.Linear(40, 10)
        self.normalise = normalise

    def forward(self, frames):
        _, h = self.gru(frames)
        scores = self.fc(h[0])
        if self.normalise:
            scores = F.log_softmax(scores, dim=-1)
        return scores


def sets():
    parts = fsdd()
    mean, std = parts.train.x.mean((0, 1)), parts.train.x.std((0, 1))
    return [TensorDataset((part.x - mean) / std, part.y) for part in parts]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = sets()
    model = SpokenDigit(normalise=not buggy)
    return {
        "model": model,
        "loss": nn.NLLLoss(),
        "train": DataLoader(train, batch_size=30, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 10,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    frames, spoken = sets()[2].tensors
    return (model.eval()(frames).argmax(1) == spoken).float().mean().item()
