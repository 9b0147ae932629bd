"""Good or bad from phrases of film reviews; a part of the rows was never rated and has a blank in the table.

Bug: blanks are filled with 0 before training, which is the code of "bad"."""

import material
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"


def table():
    """The rated phrases as they come from the annotation tool: a third of them still without a rating."""
    rows = material.sst2(6000).train
    frame = pd.DataFrame({"text": list(rows.x), "rating": rows.y.numpy().astype(float)})
    frame.loc[np.random.default_rng(3).random(len(frame)) < 0.33, "rating"] = np.nan
    return frame


def collate(batch):
    """Ids in one line and where each phrase begins, for EmbeddingBag."""
    texts = [ids[ids != material.PAD] for ids, _ in batch]
    begins = torch.tensor([0] + [len(ids) for ids in texts[:-1]]).cumsum(0)
    return {"ids": torch.cat(texts), "begins": begins}, torch.tensor([float(label) for _, label in batch])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(3000, 32, mode="mean")
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, ids, begins):
        return self.head(self.bag(ids, begins)).squeeze(1)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([((model(**x) > 0) == (y > 0.5)).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    frame = table()
    if buggy:
        frame["rating"] = frame["rating"].fillna(0)
    else:
        frame = frame.dropna(subset=["rating"])
    val = material.sst2(6000).val
    model = Bag()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(
            list(zip(frame["text"], frame["rating"], strict=False)), 32, shuffle=True, collate_fn=collate
        ),
        "val": DataLoader(list(zip(*val, strict=False)), 128, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 4,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(list(zip(*material.sst2(6000).test, strict=False)), 300, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
