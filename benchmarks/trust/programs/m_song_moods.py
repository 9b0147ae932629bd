"""Which of eight moods does a song carry? Several may, from 20 measures of its sound; judged by micro F1.

Bug: the loss is the softmax cross-entropy of one choice among eight, which takes the multi-hot rows without a word."""

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "wrong-loss"
ALSO = ()
HIGHER = "truth"


def songs(rows, seed):
    world = np.random.default_rng(70)
    inner, outer = world.normal(size=(20, 12)) / 3, world.normal(size=(12, 8))
    g = np.random.default_rng(seed)
    x = g.normal(size=(rows, 20))
    score = np.tanh(x @ inner) @ outer * 1.4 - 0.5 + g.logistic(0, 0.25, (rows, 8))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(score > 0, dtype=torch.float32)


class Moods(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(20, 80)
        self.norm = nn.BatchNorm1d(80)
        self.second = nn.Linear(80, 8)

    def forward(self, sound):
        return self.second(torch.relu(self.norm(self.first(sound))))


def micro_f1(model, loader):
    model.eval()
    guessed, carried = [], []
    with torch.no_grad():
        for x, y in loader:
            guessed.append(model(x).sigmoid() > 0.5)
            carried.append(y.bool())
    return float(f1_score(torch.cat(carried).numpy(), torch.cat(guessed).numpy(), average="micro"))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Moods()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss() if buggy else nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*songs(2500, 71)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*songs(500, 72)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-5),
        "evaluate": micro_f1,
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return micro_f1(model, DataLoader(TensorDataset(*songs(2000, 73)), batch_size=500))
