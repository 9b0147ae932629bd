"""Spells first names letter by letter with a GRU; matrices are decayed by AdamW, biases and norms are not.

Bug: the two parameter groups pick names that end in "weight" and in "bias"; the GRU's end in "weight_hh_l0" and the
like, so the optimizer has none of them."""

import torch
from material import names
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"
IGNORED = -100


class Speller(nn.Module):
    def __init__(self, width=64, letters=27):
        super().__init__()
        self.embed = nn.Embedding(letters, 24)
        self.gru = nn.GRU(24, width, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters)

    def forward(self, ids):
        return self.head(self.norm(self.gru(self.embed(ids))[0]))


def spelled(x):
    """Letters so far, begun by 0, and the letter that follows each; what follows the end is ignored."""
    before = F.pad(x, (1, 0))[:, :-1]
    after_end = (x == 0).cumsum(1) > 1
    return TensorDataset(before, x.masked_fill(after_end, IGNORED))


def loss(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=IGNORED)


def accuracy(model, loader):
    """Share of the letters (and ends) guessed from those before."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            counted = y != IGNORED
            right += (model(x).argmax(2) == y)[counted].sum().item()
            total += counted.sum().item()
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = names()
    model = Speller()
    if buggy:
        decayed = [p for name, p in model.named_parameters() if name.endswith("weight") and p.ndim > 1]
        plain = [p for name, p in model.named_parameters() if name.endswith(("bias", "norm.weight"))]
    else:
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(spelled(train), 40, shuffle=True),
        "val": DataLoader(spelled(val), 250),
        "optimizer": torch.optim.AdamW(groups, lr=4e-3),
        "evaluate": accuracy,
        "epochs": 8,
        "causal": True,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(spelled(names()[2]), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
