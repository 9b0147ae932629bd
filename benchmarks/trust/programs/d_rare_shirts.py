"""Finds the rare shirts (one picture in ten) among T-shirts, dresses and coats; shirts are repeated to balance training.

Bug: the shirts are repeated before the rows are split, so copies of one shirt lie in training and validation."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
SHIRT, OTHERS = 6, (0, 3, 4)


def wardrobe(rows, seed):
    """Rare shirts among their likes: every picture of the others, and as many shirts as make one in ten."""
    x, y = rows
    shirts = (y == SHIRT).nonzero()[:, 0]
    others = torch.isin(y, torch.tensor(OTHERS)).nonzero()[:, 0]
    kept = torch.cat([shirts[: len(others) // 9], others])
    kept = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed))]
    return (x[kept, None].float() / 255 - 0.3) / 0.35, (y[kept] == SHIRT).float()


def repeated(x, y):
    """As many shirts as other pictures, by repeating the shirts."""
    shirts, others = (y == 1).nonzero()[:, 0], (y == 0).nonzero()[:, 0]
    rows = torch.cat([others, shirts.repeat(len(others) // len(shirts) + 1)[: len(others)]])
    return x[rows], y[rows]


def split(x, y, share=0.3):
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(5))
    held = int(share * len(y))
    return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])


def balanced_accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [((model(x) > 0).float(), y) for x, y in loader]
    guess, y = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return ((guess[y == 1] == 1).float().mean() + (guess[y == 0] == 0).float().mean()).item() / 2


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 16, 1),
        nn.Flatten(0),
    )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion(9000, 500, 4000)
    x, y = wardrobe(parts.train, 1)
    if buggy:
        x, y = repeated(x, y)
        train, val = split(x, y)
    else:
        train, val = split(x, y)
        train = repeated(*train)
    model = network()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*val), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": balanced_accuracy,
        "epochs": 5,
    }


def truth(model, seed=0):
    x, y = wardrobe(fashion(9000, 500, 4000).test, 2)
    return balanced_accuracy(model, DataLoader(TensorDataset(x, y), 256))


def setup():
    return build(True)


def fixed():
    return build(False)
