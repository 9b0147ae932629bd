"""How far diabetes will go on, from a table of persons joined with a table of their six sera.

Bug: the key is a number in one table and text with leading zeros in the other; nothing joins, and the blanks are
filled with the mean."""

import material
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"
SERA = ["tc", "ldl", "hdl", "tch", "ltg", "glu"]
PERSON = ["age", "sex", "bmi", "bp"]


def tables(rows, buggy):
    """Persons by number; sera by the laboratory's form of the number ("00017")."""
    x = rows.x.numpy()
    number = np.arange(len(x))
    persons = pd.DataFrame(x[:, :4], columns=PERSON).assign(number=number)
    sera = pd.DataFrame(x[:, 4:], columns=SERA).assign(number=[f"{k:05d}" for k in number])
    persons["number"] = persons["number"].astype(str) if buggy else persons["number"].astype(str).str.zfill(5)
    return persons.merge(sera, on="number", how="left"), sera


def matrix(rows, buggy, means):
    frame, _ = tables(rows, buggy)
    return frame[PERSON + SERA].fillna(means)


@torch.no_grad()
def evaluate(model, loader):
    """R²"""
    model.eval()
    guess, y = zip(*((model(x).squeeze(1), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return 1 - ((guess - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(10, 24), nn.Linear(24, 1)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.out(self.drop(torch.tanh(self.hidden(x))))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.diabetes()
    means = tables(parts.train, buggy)[1][SERA].mean()
    train = matrix(parts.train, buggy, means)
    centre, width = train.mean(), train.std().replace(0, 1)

    def prepare(rows):
        x = (matrix(rows, buggy, means) - centre) / width
        return torch.tensor(x.to_numpy(np.float32)), (rows.y - 152) / 77

    model = Net()
    model.prepare = prepare  # the same join where it is used
    return {
        "model": model,
        "loss": lambda out, y: nn.functional.mse_loss(out.squeeze(1), y),
        "train": DataLoader(TensorDataset(*prepare(parts.train)), 16, shuffle=True),
        "val": DataLoader(TensorDataset(*prepare(parts.val)), 80),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05),
        "evaluate": evaluate,
        "epochs": 20,
    }


def truth(model, seed=0):
    return evaluate(model, [model.prepare(material.diabetes().test)])


def setup():
    return build(True)


def fixed():
    return build(False)
