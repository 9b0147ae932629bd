"""Flags stolen cards from the last six purchases (embedded shop kinds and amounts, averaged); score: balanced accuracy.

Bug: the sampler that draws thefts (3 % of the rows) as often as the rest has been lost; batches hold one or two thefts."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"
SHOPS = 20


def cards(count, seed):
    """Shop kinds (N, 6), log amounts (N, 6), and 1 for a stolen card."""
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(count, generator=g) < 0.03).long()
    habits = torch.randn(2, SHOPS, generator=torch.Generator().manual_seed(99)).mul(1.2).softmax(1)
    honest, stolen = habits
    weights = torch.where(y.unsqueeze(1) == 1, 0.35 * honest + 0.65 * stolen, honest)
    shops = torch.multinomial(weights, 6, replacement=True, generator=g)
    amounts = torch.randn(count, 6, generator=g) + 0.7 * y.unsqueeze(1)
    return shops, amounts, y


class Alarm(nn.Module):
    def __init__(self):
        super().__init__()
        self.shop = nn.Embedding(SHOPS, 12)
        self.purchase = nn.Sequential(nn.Linear(13, 32), nn.ReLU())
        self.card = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, shops, amounts):
        each = torch.cat([self.shop(shops), amounts.unsqueeze(2)], 2)
        return self.card(self.purchase(each).mean(1))


def collate(rows):
    shops, amounts, y = (torch.stack(part) for part in zip(*rows, strict=True))
    return (shops, amounts), y


@torch.no_grad()
def balanced_accuracy(model, loader):
    model.eval()
    pairs = [(model(*x).argmax(1), y) for x, y in loader]
    said, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return sum((said[y == kind] == kind).float().mean().item() for kind in (0, 1)) / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    rows = cards(4000, 1)
    share = torch.bincount(rows[2]) / len(rows[2])
    sampler = WeightedRandomSampler((1 / share)[rows[2]], num_samples=len(rows[2]))
    how = {"shuffle": True} if buggy else {"sampler": sampler}
    model = Alarm()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*rows), batch_size=64, collate_fn=collate, **how),
        "val": DataLoader(TensorDataset(*cards(2000, 2)), batch_size=500, collate_fn=collate),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": balanced_accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, DataLoader(TensorDataset(*cards(6000, 3)), batch_size=1000, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
