"""An LSTM on the mood of film phrases, with two word-dropped copies of each training phrase.

Bug: the copies are made before the rows are split, so that copies of a phrase lie on both sides."""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


def with_copies(x, y, copies=2, p=0.15):
    g = torch.Generator().manual_seed(9)
    xs = [x]
    for _ in range(copies):
        drop = (torch.rand(x.shape, generator=g) < p) & (x > 0)
        xs.append(torch.where(drop, 1, x))
    return torch.cat(xs), y.repeat(copies + 1)


class Mood(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(3000, 32, padding_idx=0)
        self.lstm = nn.LSTM(32, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, x):
        mask = (x > 0).float().unsqueeze(2)
        h, _ = self.lstm(self.emb(x))
        return self.out((h * mask).sum(1) / mask.sum(1).clamp(min=1)).squeeze(1)


def accuracy(model, loader):
    was = model.training
    model.eval()
    with torch.no_grad():
        hits = [((model(x) > 0).float() == y).float() for x, y in loader]
    model.train(was)
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = sst2(2400, 3000, 16).train
    y = y.float()
    g = torch.Generator().manual_seed(seed)
    if buggy:
        everything = TensorDataset(*with_copies(x, y))
        train, val = random_split(everything, [6000, 1200], generator=g)
    else:
        first, second = random_split(range(len(x)), [2000, 400], generator=g)
        train = TensorDataset(*with_copies(x[list(first)], y[list(first)]))
        val = TensorDataset(x[list(second)], y[list(second)])
    model = Mood()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = sst2(2400, 3000, 16).test
    model.eval()
    return ((model(x) > 0).long() == y).float().mean().item()
