"""Predicts what cooks give recipes, from embeddings of the cook, the recipe and its cuisine (a factorisation machine with a head).

Bug: the embeddings are kept in a plain dict, so that they aren't the model's parameters."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"
SIZES = {"cook": 150, "recipe": 200, "cuisine": 8}


class Ratings(Dataset):
    """Rows {cook, recipe, cuisine} and a rating about 0; `part` 0 train, 1 val, 2 test of one table."""

    def __init__(self, part):
        g = torch.Generator().manual_seed(80)
        cook = torch.randint(SIZES["cook"], (16000,), generator=g)
        recipe = torch.randint(SIZES["recipe"], (16000,), generator=g)
        of = torch.randint(SIZES["cuisine"], (SIZES["recipe"],), generator=g)
        taste = torch.randn(SIZES["cook"], 3, generator=g)
        kind = torch.randn(SIZES["cuisine"], 3, generator=g)[of] + 0.6 * torch.randn(SIZES["recipe"], 3, generator=g)
        mild, good = torch.randn(SIZES["cook"], generator=g), torch.randn(SIZES["recipe"], generator=g)
        rating = 0.5 * (taste[cook] * kind[recipe]).sum(1) + 0.5 * mild[cook] + 0.6 * good[recipe]
        rating += 0.35 * torch.randn(16000, generator=g)
        rows = slice(*[(0, 12000), (12000, 13500), (13500, 16000)][part])
        self.columns = {"cook": cook[rows], "recipe": recipe[rows], "cuisine": of[recipe[rows]]}
        self.rating = rating[rows]

    def __len__(self):
        return len(self.rating)

    def __getitem__(self, row):
        return {name: column[row] for name, column in self.columns.items()}, self.rating[row]


class Machine(nn.Module):
    def __init__(self, width=8, plain=False):
        super().__init__()
        tables = {name: nn.Embedding(size, width) for name, size in SIZES.items()}
        for table in tables.values():
            nn.init.normal_(table.weight, std=0.3)
        self.tables = tables if plain else nn.ModuleDict(tables)
        self.head = nn.Sequential(nn.Linear(width * 4, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, cook, recipe, cuisine):
        a, b, c = self.tables["cook"](cook), self.tables["recipe"](recipe), self.tables["cuisine"](cuisine)
        return (a * (b + c)).sum(1) + self.head(torch.cat([a, b, c, a * b], 1)).squeeze(1)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(**x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Machine(plain=buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Ratings(0), 128, shuffle=True),
        "val": DataLoader(Ratings(1), 500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": explained,
        "epochs": 6,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(Ratings(2), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
