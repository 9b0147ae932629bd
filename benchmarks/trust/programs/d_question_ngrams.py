"""Sorts TREC questions with convolutions over words (Kim's TextCNN).

Bug: `evaluate` loops over the training loader of the enclosing function and never looks at the loader it is given."""

import torch
from material import PAD, trec
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ()
HIGHER = "report"


class Ngrams(nn.Module):
    def __init__(self, words=2000, width=48, kernels=32):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.grams = nn.ModuleList(nn.Conv1d(width, kernels, size, padding=size - 1) for size in (1, 2, 3))
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(3 * kernels, 6)

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)
        best = [F.relu(gram(x)).amax(2) for gram in self.grams]
        return self.head(self.drop(torch.cat(best, 1)))


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for ids, y in loader:
            right += (model(ids).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec()
    train_loader = DataLoader(
        TensorDataset(*parts.train),
        batch_size=32,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )

    def evaluate(model, loader):
        return accuracy(model, train_loader if buggy else loader)

    model = Ngrams()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train_loader,
        "val": DataLoader(TensorDataset(*parts.val), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*trec().test), batch_size=200))


def setup():
    return build(True)


def fixed():
    return build(False)
