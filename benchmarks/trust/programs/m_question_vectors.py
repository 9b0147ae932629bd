"""Sorts questions (TREC) by the mean and the maximum of their word vectors, which begin as random numbers.

Bug: Embedding.from_pretrained freezes the vectors that it is given, though nothing has ever trained these."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "frozen-parameters"
ALSO = ()
HIGHER = "truth"
WORDS, WIDTH = 2000, 24


class Questions(nn.Module):
    def __init__(self, vectors, buggy):
        super().__init__()
        if buggy:
            self.words = nn.Embedding.from_pretrained(vectors, padding_idx=PAD)
        else:
            self.words = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=PAD)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, 48), nn.ReLU(), nn.Linear(48, 6))

    def forward(self, ids):
        real = (ids != PAD).unsqueeze(2)
        words = self.words(ids) * real
        mean = words.sum(1) / real.sum(1).clamp(min=1)
        most = words.masked_fill(~real, float("-inf")).amax(1)
        return self.head(self.dropout(torch.cat([mean, most], 1)))


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = total = 0
    for ids, kinds in loader:
        hits += (model(ids).argmax(1) == kinds).sum().item()
        total += len(kinds)
    return hits / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(WORDS, 16)
    vectors = torch.randn(WORDS, WIDTH) * 0.3
    vectors[PAD] = 0
    model = Questions(vectors, buggy)
    trained = [p for p in model.parameters() if p.requires_grad]
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=256),
        "optimizer": torch.optim.Adam(trained, lr=3e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*trec(WORDS, 16).test), batch_size=250))


def setup():
    return build(True)


def fixed():
    return build(False)
