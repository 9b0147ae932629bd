"""Classifies questions (TREC, six classes) by a one-layer Transformer encoder and attention pooling over the words.

Bug: the pooling weights are normalised over the batch dimension instead of over the words of a question."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class Questions(nn.Module):
    def __init__(self, buggy, words=2000, width=48, length=16):
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=PAD)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.encoder = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.1, batch_first=True, norm_first=True)
        self.score = nn.Linear(width, 1)
        self.head = nn.Linear(width, 6)
        self.dim = 0 if buggy else 1

    def forward(self, ids):
        padded = ids == PAD
        hidden = self.encoder(self.words(ids) + self.places, src_key_padding_mask=padded)
        scores = self.score(hidden).squeeze(2).masked_fill(padded, -1e9)
        weights = scores.softmax(self.dim)
        return self.head((weights.unsqueeze(2) * hidden).sum(1))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = total = 0
    for ids, y in loader:
        right += (model(ids).argmax(1) == y).sum().item()
        total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec()
    model = Questions(buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 4,
    }


def truth(model, seed=0):
    """Questions come one by one in use."""
    return evaluate(model, DataLoader(TensorDataset(*trec().test), batch_size=1))


def setup():
    return build(True)


def fixed():
    return build(False)
