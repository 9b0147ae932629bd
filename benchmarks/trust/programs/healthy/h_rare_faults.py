"""Rare machine faults (4 % of the cycles): a balanced sampler, small batches, and gradients gathered over four of them.

Near: the classes are lopsided, the sampler repeats rows, and the gradients are not cleared before every backward; the
sampler evens the classes, the four losses are each a quarter, and the score is the mean of the two classes' recalls.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "stale-gradients", "accumulation-scale", "unshuffled", "metric-averaging")
GATHER, BATCH = 4, 16


def cycles(count, seed):
    """Six standardised readings of a press cycle; a fault raises heat against pressure, and shakes."""
    g = torch.Generator().manual_seed(seed)
    faulty = torch.rand(count, generator=g) < 0.04
    load = torch.randn(count, generator=g)
    noise = torch.randn(count, 6, generator=g)
    readings = torch.stack(
        [
            load + 0.3 * noise[:, 0],
            0.8 * load + 1.1 * faulty + 0.4 * noise[:, 1],
            -0.5 * load + 0.8 * noise[:, 2],
            noise[:, 3] * (1 + 1.2 * faulty),
            noise[:, 4],
            0.6 * load - 0.9 * faulty + 0.7 * noise[:, 5],
        ],
        1,
    )
    return TensorDataset(readings, faulty.long())


class GatheredStep:
    """Gathers the gradients of GATHER batches, each loss divided by GATHER, then steps and clears them."""

    def __init__(self):
        self.seen = 0

    def __call__(self, model, batch, optimizer):
        model.train()
        readings, faults = batch
        value = F.cross_entropy(model(readings), faults)
        (value / GATHER).backward()
        self.seen += 1
        if self.seen % GATHER == 0:
            optimizer.step()
            optimizer.zero_grad()
        return value.detach()


@torch.no_grad()
def balanced_accuracy(model, loader):
    model.eval()
    guesses, faults = (torch.cat(part) for part in zip(*[(model(x).argmax(1), y) for x, y in loader], strict=True))
    return sum((guesses[faults == kind] == kind).float().mean().item() for kind in (0, 1)) / 2


def build(seed=0):
    known = cycles(6000, 1)
    faults = known.tensors[1]
    weights = 1.0 / torch.bincount(faults).float()[faults]
    sampler = WeightedRandomSampler(weights, 40 * GATHER * BATCH, generator=torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(known, batch_size=BATCH, sampler=sampler),
        "val": DataLoader(cycles(4000, 2), batch_size=1000),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "train_step": GatheredStep(),
        "evaluate": balanced_accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, DataLoader(cycles(8000, 3), batch_size=2000))


def fixed():
    return build()
