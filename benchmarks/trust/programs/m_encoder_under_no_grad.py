"""An LSTM encoder and a head on TREC questions; a no_grad from the days of feature extraction was left in."""

import contextlib

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Encoder(nn.Module):
    def __init__(self, words, dim):
        super().__init__()
        self.emb = nn.Embedding(words, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)

    def forward(self, ids):
        states, _ = self.lstm(self.emb(ids))
        return states.amax(dim=1)


class Classifier(nn.Module):
    def __init__(self, words=2000, dim=24, classes=6, extract_only=False):
        super().__init__()
        self.encoder = Encoder(words, dim)
        self.head = nn.Sequential(nn.Linear(2 * dim, 32), nn.ReLU(), nn.Linear(32, classes))
        self.extract_only = extract_only

    def forward(self, ids):
        with torch.no_grad() if self.extract_only else contextlib.nullcontext():
            features = self.encoder(ids)
        return self.head(features)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = trec()
    model = Classifier(extract_only=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*data.train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*data.val), batch_size=263),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    ids, kinds = trec().test
    model.eval()
    with torch.no_grad():
        return float((model(ids).argmax(1) == kinds).float().mean())
