"""Says at application time whether a (made-up) loan will default, by an MLP on standardised columns.

Bug: among the columns is the sum of late fees, which is only charged once a loan has gone wrong."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
KNOWN = ("income", "amount", "debt_ratio", "years_employed", "rate", "late_payments")
ROWS, TRAIN, VAL = 5000, 3000, 1000


def ledger():
    """The columns as they stand in today's export, and who defaulted. The fees came after the outcome."""
    g = torch.Generator().manual_seed(5)

    def normal():
        return torch.randn(ROWS, generator=g)

    income = torch.exp(10.4 + 0.5 * normal())
    amount = income * torch.exp(-0.8 + 0.5 * normal())
    debt_ratio = torch.sigmoid(normal() - 0.5)
    years_employed = torch.relu(6 + 5 * normal())
    late_payments = torch.poisson(torch.exp(0.8 * normal() - 0.5), generator=g)
    rate = 0.08 + 0.03 * debt_ratio + 0.01 * late_payments.clamp(max=5) + 0.01 * normal()
    score = 2.2 * (amount / income - 0.5) + 5 * (debt_ratio - 0.4) - 0.25 * (years_employed - 6) + 1.2 * late_payments
    score = score + 3 * (debt_ratio - 0.4) * late_payments - 1.0
    default = torch.rand(ROWS, generator=g) < torch.sigmoid(1.5 * score)
    charged = torch.rand(ROWS, generator=g) < torch.where(default, 0.85, 0.05)
    late_fees = charged * (20 + 60 * torch.rand(ROWS, generator=g))
    table = dict(zip(KNOWN, (income, amount, debt_ratio, years_employed, rate, late_payments), strict=True))
    return table | {"late_fees": late_fees}, default.float()


class Scorer(nn.Module):
    def __init__(self, columns, mean, std):
        super().__init__()
        self.columns = columns
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.layers = nn.Sequential(
            nn.Linear(len(columns), 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, x):
        return self.layers((x - self.mean) / self.std).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    table, default = ledger()
    columns = (*KNOWN, "late_fees") if buggy else KNOWN
    x = torch.stack([table[name] for name in columns], 1)
    model = Scorer(columns, x[:TRAIN].mean(0), x[:TRAIN].std(0))
    train = TensorDataset(x[:TRAIN], default[:TRAIN])
    val = TensorDataset(x[TRAIN : TRAIN + VAL], default[TRAIN : TRAIN + VAL])
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 10,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([(model(x) > 0) == (y > 0.5) for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    """New applications: nobody has been charged a fee yet."""
    table, default = ledger()
    table["late_fees"] = torch.zeros(ROWS)
    x = torch.stack([table[name] for name in model.columns], 1)
    return accuracy(model, [(x[TRAIN + VAL :], default[TRAIN + VAL :])])


def setup():
    return build(True)


def fixed():
    return build(False)
