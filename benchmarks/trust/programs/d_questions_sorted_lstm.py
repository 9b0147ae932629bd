"""Kinds of questions by a bidirectional LSTM; the bug: rows lie class by class and batches are cut in that order."""

import torch
from material import trec
from torch import nn

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class BiLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(2000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 24, bidirectional=True, batch_first=True)
        self.head = nn.Linear(48, 6)

    def forward(self, ids):
        states, _ = self.lstm(self.embed(ids))
        return self.head(states.mean(1))


class Batches:
    def __init__(self, x, y, size, shuffle):
        self.x, self.y, self.size, self.shuffle = x, y, size, shuffle

    def __len__(self):
        return (len(self.y) + self.size - 1) // self.size

    def __iter__(self):
        order = torch.randperm(len(self.y)) if self.shuffle else torch.arange(len(self.y))
        for rows in order.split(self.size):
            yield self.x[rows], self.y[rows]


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    by_class = train.y[:3000].argsort(stable=True)  # train.txt is the six files one after the other
    model = BiLSTM()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": Batches(train.x[by_class], train.y[by_class], 60, shuffle=not buggy),
        "val": Batches(val.x, val.y, 263, shuffle=False),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 4,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    with torch.no_grad():
        return (model.eval()(x).argmax(1) == y).float().mean().item()
