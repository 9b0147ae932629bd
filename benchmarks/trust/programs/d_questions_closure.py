"""Kinds of questions by an MLP on word counts; the bug: evaluate walks the loader of the training rows."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ()
HIGHER = "report"


def counts(ids):
    """(B, T) ids -> (B, 2000) how often each word stands there; padding is not a word."""
    x = torch.zeros(len(ids), 2000).scatter_add_(1, ids, torch.ones(ids.shape))
    x[:, 0] = 0
    return x


def share_right(model, loader):
    model.eval()
    with torch.no_grad():
        hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.float().mean().item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    model = nn.Sequential(nn.Linear(2000, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 6))
    train_loader = DataLoader(TensorDataset(counts(train.x[:1500]), train.y[:1500]), batch_size=50, shuffle=True)
    val_loader = DataLoader(TensorDataset(counts(val.x), val.y), batch_size=263)

    def evaluate(model, loader):
        return share_right(model, train_loader if buggy else loader)

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train_loader,
        "val": val_loader,
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 10,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    return share_right(model, [(counts(x), y)])
