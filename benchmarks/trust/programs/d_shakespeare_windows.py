"""Characters of Shakespeare by a GRU; the bug: windows that overlap are split at random, so sides share text."""

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
LENGTH, STRIDE = 24, 4


class CharGRU(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.embed = nn.Embedding(65, 32)
        self.gru = nn.GRU(32, width, batch_first=True)
        self.out = nn.Linear(width, 65)

    def forward(self, ids):  # (B, T) -> (B, T, 65)
        return self.out(self.gru(self.embed(ids))[0])


def windows(text):
    cut = text.unfold(0, LENGTH + 1, STRIDE)
    return TensorDataset(cut[:, :-1], cut[:, 1:])


def loss(logits, targets):
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets)


@torch.no_grad()
def evaluate(model, loader):
    hits = [(model(x).argmax(2) == y).float() for x, y in loader]
    return torch.cat(hits).mean().item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    text = shakespeare()[0][:4000]
    if buggy:
        train, val = random_split(windows(text), [0.7, 0.3])
    else:
        train, val = windows(text[:2800]), windows(text[2800:])
    model = CharGRU()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=8e-3),
        "evaluate": evaluate,
        "epochs": 25,
        "causal": True,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return evaluate(model, DataLoader(windows(shakespeare()[2][:10_000]), batch_size=500))
