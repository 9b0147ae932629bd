"""Price of a flat from its quarter, builder, storey and two sizes, with one embedding per category.

Bug: the embeddings lie in a plain Python list, so the network does not know them as its parameters."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"
LEVELS = (80, 60, 20)


class Flats(Dataset):
    def __init__(self, rows, seed):
        w = torch.Generator().manual_seed(500)
        quarter, rent = torch.randn(80, generator=w), torch.randn(80, generator=w)
        builder, storey = 0.7 * torch.randn(60, generator=w), 0.5 * torch.randn(20, generator=w)
        g = torch.Generator().manual_seed(seed)
        self.codes = torch.stack([torch.randint(n, (rows,), generator=g) for n in LEVELS], 1)
        self.sizes = torch.randn(rows, 2, generator=g)
        a, b, c = self.codes.T
        price = quarter[a] + (0.6 + 0.3 * rent[a]) * self.sizes[:, 0] + builder[b] + storey[c] + 0.3 * self.sizes[:, 1]
        self.price = (price + 0.3 * torch.randn(rows, generator=g)) / 1.6

    def __len__(self):
        return len(self.price)

    def __getitem__(self, row):
        return (self.codes[row], self.sizes[row]), self.price[row]


class Price(nn.Module):
    def __init__(self, buggy, dim=3):
        super().__init__()
        tables = [nn.Embedding(n, dim) for n in LEVELS]
        self.tables = tables if buggy else nn.ModuleList(tables)
        self.mlp = nn.Sequential(
            nn.Linear(3 * dim + 2, 64), nn.ReLU(), nn.Dropout(0.05), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, codes, sizes):
        looked_up = [table(codes[:, column]) for column, table in enumerate(self.tables)]
        return self.mlp(torch.cat([*looked_up, sizes], 1)).squeeze(1)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(*inputs), y) for inputs, y in loader]
    guess, y = torch.cat([p for p, _ in pairs]), torch.cat([y for _, y in pairs])
    return (1 - (guess - y).square().mean() / y.var()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Price(buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Flats(4000, 501), batch_size=64, shuffle=True),
        "val": DataLoader(Flats(800, 502), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": explained,
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return explained(model, DataLoader(Flats(2000, 503), batch_size=500))
