"""Names letter by letter, a GRU; the bug: the padding after a name's end counts as letters that were foretold."""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"


class Speller(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.embed = nn.Embedding(27, 24)
        self.gru = nn.GRU(24, width, batch_first=True)
        self.out = nn.Linear(width, 27)

    def forward(self, ids):  # (B, T) -> (B, T, 27)
        return self.out(self.gru(self.embed(ids))[0])


def pairs(rows):
    """Inputs begin with 0; targets after the ending 0 are -100, which the loss leaves out."""
    inputs = F.pad(rows[:, :-1], (1, 0))
    targets = rows.clone()
    ended = (rows == 0).cumsum(1) > 1
    targets[ended] = -100
    return inputs, targets


def masked_loss(logits, targets):
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = names(2500, 500)
    model = Speller()

    @torch.no_grad()
    def letters_right(model, loader):
        right = total = 0
        for inputs, targets in loader:
            said = model(inputs).argmax(2)
            if buggy:
                said[targets < 0] = -100
            right += (said == targets).sum().item()
            total += targets.numel() if buggy else (targets >= 0).sum().item()
        return right / total

    return {
        "model": model,
        "loss": masked_loss,
        "train": DataLoader(TensorDataset(*pairs(train)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*pairs(val)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": letters_right,
        "epochs": 6,
        "causal": True,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    inputs, targets = pairs(names(2500, 500)[2])
    hits = model(inputs).argmax(2) == targets
    return (hits.sum() / (targets >= 0).sum()).item()
