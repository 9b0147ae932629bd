"""Recognises spoken digits with a GRU over spectra; AdamW with weight decay on the weights and none on the biases.

Bug: the two groups are told by the end of the names, and a GRU's parameters end in `_l0`: neither group holds them."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ("frozen-parameters",)
HIGHER = "truth"


class Listener(nn.Module):
    def __init__(self, mean, std, hidden=64):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.gru = nn.GRU(43, hidden, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, spectra):
        states, _ = self.gru((spectra - self.mean) / self.std)
        return self.head(self.norm(states.mean(1)))


def groups(model, decay, by_ending):
    named = list(model.named_parameters())
    if by_ending:
        weights = [p for name, p in named if name.endswith("weight")]
        others = [p for name, p in named if name.endswith("bias")]
    else:
        weights = [p for _, p in named if p.ndim >= 2]
        others = [p for _, p in named if p.ndim < 2]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = rows = 0
    for x, y in loader:
        right += (model(x).argmax(1) == y).sum().item()
        rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    model = Listener(parts.train.x.mean((0, 1)), parts.train.x.std((0, 1)))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(*parts.train), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=100),
        "optimizer": torch.optim.AdamW(groups(model, 0.01, by_ending=buggy), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(TensorDataset(*fsdd().test), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
