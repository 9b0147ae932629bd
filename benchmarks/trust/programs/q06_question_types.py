"""Kinds of questions (TREC) by convolutions over words, after Kim 2014."""

import torch
import torch.nn.functional as F
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


class KimCNN(nn.Module):
    def __init__(self, words=2000, dim=50, maps=40, classes=6, plain=False):
        super().__init__()
        self.embedding = nn.Embedding(words, dim, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(dim, maps, k, padding=k // 2) for k in (2, 3, 4))
        self.fc = nn.Linear(3 * maps, classes)
        self.plain = plain

    def drop(self, x, p):
        return F.dropout(x, p) if self.plain else F.dropout(x, p, training=self.training)

    def forward(self, ids):
        e = self.drop(self.embedding(ids), 0.3)
        h = torch.cat([F.relu(conv(e.transpose(1, 2))).amax(-1) for conv in self.convs], 1)
        return self.fc(self.drop(h, 0.5))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for ids, kind in loader:
            right += (model(ids).argmax(1) == kind).sum().item()
            total += len(kind)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = trec()
    model = KimCNN(plain=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*data.train), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*data.val), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1.5e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    torch.manual_seed(seed)
    return accuracy(model, DataLoader(TensorDataset(*trec().test), batch_size=250))
