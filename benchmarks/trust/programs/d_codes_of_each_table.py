"""The price of used cars from brand, town, fuel, age and mileage; embeddings for the words, an MLP on top.

Bug: each table is coded by itself, so a brand has one number in training and another in validation and in use."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"
WORDS = {"brand": 14, "town": 9, "fuel": 4}


def cars(rows, seed):
    rng = np.random.default_rng(seed)
    worth = np.random.default_rng(99)
    frame = pd.DataFrame({name: [f"{name}{k:02d}" for k in rng.integers(0, n, rows)] for name, n in WORDS.items()})
    price = 9.6 + 0.08 * rng.normal(size=rows)
    for name, count in WORDS.items():
        level = dict(zip((f"{name}{k:02d}" for k in range(count)), worth.normal(size=count) * 0.35, strict=False))
        price += frame[name].map(level)
    frame["age"], frame["mileage"] = rng.uniform(0, 15, rows), rng.gamma(3.0, 30_000, rows)
    frame["price"] = np.exp(price - 0.07 * frame["age"] - 2e-6 * frame["mileage"])
    return frame


class Codes:
    """Words to numbers from 1 on; 0 is for a word that was not there."""

    def fit(self, frame):
        self.known = {name: {word: k for k, word in enumerate(pd.unique(frame[name]), 1)} for name in WORDS}
        return self

    def transform(self, frame):
        return torch.tensor(np.stack([frame[n].map(self.known[n]).fillna(0).astype(int) for n in WORDS], 1))

    def fit_transform(self, frame):
        return self.fit(frame).transform(frame)


class Prices(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(n + 1, 4) for n in WORDS.values())
        self.net = nn.Sequential(nn.Linear(14, 48), nn.ReLU(), nn.Linear(48, 1))

    def forward(self, words, numbers):
        words = [table(words[:, k]) for k, table in enumerate(self.embed)]
        return self.net(torch.cat([*words, numbers], 1)).squeeze(1)


def rows_of(frame, words):
    numbers = torch.tensor(
        np.stack([(frame["age"] - 7.5) / 4.3, (frame["mileage"] - 9e4) / 5.2e4], 1), dtype=torch.float32
    )
    return TensorDataset(words, numbers, torch.tensor(np.log(frame["price"].values) - 8.9, dtype=torch.float32))


def collate(batch):
    words, numbers, price = (torch.stack(column) for column in zip(*batch, strict=False))
    return (words, numbers), price


@torch.no_grad()
def evaluate(model, loader):
    """R² of the logarithm of the price."""
    model.eval()
    guess, price = zip(*((model(*x), y) for x, y in loader), strict=False)
    guess, price = torch.cat(guess), torch.cat(price)
    return 1 - ((guess - price) ** 2).sum().item() / ((price - price.mean()) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val = cars(1500, 1), cars(400, 2)
    codes = Codes()
    train_words = codes.fit_transform(train)
    model = Prices()
    model.code = codes.fit_transform if buggy else codes.transform  # how tables after the training one are coded
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(rows_of(train, train_words), 32, shuffle=True, collate_fn=collate),
        "val": DataLoader(rows_of(val, model.code(val)), 200, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    test = cars(800, 3)
    return evaluate(model, DataLoader(rows_of(test, model.code(test)), 400, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
