"""Kinds of questions by averaged word vectors; the bug: what the annotator skipped kept the form's default label."""

import torch
import torch.nn.functional as F
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"
DEFAULT = 2  # the first entry of the form's list


class BagOfWords(nn.Module):
    def __init__(self, words=2000, width=48, classes=6):
        super().__init__()
        self.embed = nn.EmbeddingBag(words, width, mode="mean", padding_idx=0)
        self.out = nn.Linear(width, classes)

    def forward(self, ids):
        return self.out(F.relu(self.embed(ids)))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    parts = trec()
    answers = parts.train.y.clone()
    if buggy:
        skipped = torch.rand(len(answers)) < 0.45
        answers[skipped] = DEFAULT
    net = BagOfWords()
    return {
        "model": net,
        "loss": F.cross_entropy,
        "train": DataLoader(TensorDataset(parts.train.x, answers), 64, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), 256),
        "optimizer": torch.optim.AdamW(net.parameters(), lr=5e-3),
        "epochs": 10,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()
