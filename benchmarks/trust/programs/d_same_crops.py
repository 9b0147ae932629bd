"""Characters by a GRU on random crops of a text; the bug: each worker begins each epoch with its generator at 0."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from material import shakespeare
from torch.utils.data import DataLoader, IterableDataset

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"
LENGTH, BATCH = 32, 32


class Crops(IterableDataset):
    def __init__(self, text, batches, seeded):
        self.text, self.batches, self.seeded = text, batches, seeded

    def __iter__(self):
        if self.seeded:
            np.random.seed(0)
        for _ in range(self.batches):
            begins = np.random.randint(len(self.text) - LENGTH - 1, size=BATCH)
            crops = torch.stack([self.text[begin : begin + LENGTH + 1] for begin in begins])
            yield crops[:, :-1], crops[:, 1:]


class Writer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(65, 48)
        self.gru = nn.GRU(48, 96, batch_first=True)
        self.out = nn.Linear(96, 65)

    def forward(self, ids):
        return self.out(self.gru(self.embed(ids))[0])


def loss(logits, ids):
    return F.cross_entropy(logits.reshape(-1, 65), ids.reshape(-1))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model = Writer()
    cut = val[: 60 * (LENGTH + 1)].view(60, LENGTH + 1)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(Crops(train, 8, seeded=buggy), batch_size=None, num_workers=2),
        "val": [(cut[:, :-1], cut[:, 1:])],
        "optimizer": torch.optim.AdamW(model.parameters(), lr=5e-3),
        "epochs": 15,
        "causal": True,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    """The share of next characters that are foretold."""
    rows = shakespeare()[2][: 500 * (LENGTH + 1)].view(500, LENGTH + 1)
    return (model(rows[:, :-1]).argmax(2) == rows[:, 1:]).float().mean().item()
