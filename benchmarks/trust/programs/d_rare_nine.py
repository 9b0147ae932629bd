"""Is it a nine? One row in fifty is; the bug: nothing makes up for it. Judged by the mean of both recalls."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"


def rare(rows, share=50):
    """All other digits, and so many nines that there are `share` others for each."""
    others, nines = torch.nonzero(rows.y != 9)[:, 0], torch.nonzero(rows.y == 9)[:, 0]
    kept = torch.cat([others, nines[: len(others) // share]])
    return rows.x[kept].float().div(255).flatten(1), (rows.y[kept] == 9).float()


def balanced_accuracy(model, loader):
    outputs, y = zip(*[(model(x), y) for x, y in loader], strict=True)
    hit, y = (torch.cat(outputs) > 0) == (torch.cat(y) > 0.5), torch.cat(y) > 0.5
    return (hit[y].float().mean() + hit[~y].float().mean()).item() / 2


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = mnist()
    x, y = rare(train)
    model = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 1), nn.Flatten(0))
    weight = torch.tensor(1.0) if buggy else (1 - y).sum() / y.sum()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(pos_weight=weight),
        "train": DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*rare(val)), batch_size=256),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5),
        "epochs": 12,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    model.eval()
    rows = mnist().test
    x, y = rows.x.float().div(255).flatten(1), (rows.y == 9).float()
    return balanced_accuracy(model, [(x, y)])
