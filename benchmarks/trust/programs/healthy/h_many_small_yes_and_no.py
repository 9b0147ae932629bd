"""Which letters are in a name? 26 answers by an embedding bag with tied rows; nearly all of them are no.

Close to `class-imbalance`, `target-leak` and `unregistered-parameters`: the answer is in the input, of course, some
letters are in one name of a hundred, and one matrix is used twice.
"""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance", "target-leak", "unregistered-parameters")


def letters(x):
    """Names (N, 16) and multi-hot letters (N, 26)."""
    return TensorDataset(x, F.one_hot(x, 27).amax(1)[:, 1:].float())


class InAndOut(nn.Module):
    def __init__(self, dim=24):
        super().__init__()
        self.table = nn.Parameter(0.3 * torch.randn(27, dim))
        self.mix = nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.full((26,), -1.5))

    def forward(self, ids):
        h = F.embedding(ids, self.table) * (ids > 0)[..., None]
        return F.linear(self.mix(torch.tanh(h).sum(1)), self.table[1:], self.bias)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(3000, 500)
    model = InAndOut()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(letters(train), batch_size=50, shuffle=True),
        "val": DataLoader(letters(val), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 8,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """F1 over all letters."""
    x, y = letters(names(3000, 500)[2]).tensors
    yes = model(x) > 0
    return (2 * (yes & (y == 1)).sum() / (yes.sum() + y.sum())).item()
