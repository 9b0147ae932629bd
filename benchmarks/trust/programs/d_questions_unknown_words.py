"""Kinds of questions by a GRU; the bug: the vocabulary was written in capitals, so that no word is ever found in it."""

import torch
from material import PAD, UNKNOWN, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


class Encoder(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.embed = nn.Embedding(2000, 32, padding_idx=PAD)
        self.gru = nn.GRU(32, width, batch_first=True)
        self.head = nn.Linear(width, 6)

    def forward(self, ids):
        states, _ = self.gru(self.embed(ids))
        real = (ids != PAD).unsqueeze(2)
        return self.head((states * real).sum(1) / real.sum(1))


def look_up(ids, found):
    """Ids of the words; all that are not found become UNKNOWN, and short questions are filled up with it."""
    return ids.where(ids != PAD, UNKNOWN) if found else torch.full_like(ids, UNKNOWN)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    sets = [TensorDataset(look_up(rows.x, found=not buggy), rows.y) for rows in (train, val)]
    model = Encoder()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(sets[0], batch_size=64, shuffle=True),
        "val": DataLoader(sets[1], batch_size=256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 4,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    return (model(look_up(x, found=True)).argmax(1) == y).float().mean().item()
