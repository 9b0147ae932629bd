"""Card fraud (one payment in thirty) from amount, hour and merchant; training draws both classes equally often."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "train-val-mismatch", "output-bias")

MERCHANTS = 30


class Payments(Dataset):
    def __init__(self, rows, seed):
        rng = np.random.default_rng(seed)
        risk = np.random.default_rng(0).normal(0, 1.1, MERCHANTS)
        merchant = rng.integers(0, MERCHANTS, rows)
        hour = rng.uniform(0, 24, rows)
        amount = rng.lognormal(3.5, 1.0, rows)
        since = rng.exponential(20, rows)
        night = np.exp(-0.5 * ((hour - 3) / 2) ** 2)
        logit = -5.7 + 1.3 * risk[merchant] + 2.5 * night + 1.6 * (np.log(amount) - 3.5) + 2.2 * (since < 2)
        self.y = torch.tensor(rng.random(rows) < 1 / (1 + np.exp(-1.3 * logit)), dtype=torch.float32)
        angle = 2 * np.pi * hour / 24
        table = np.stack([(np.log(amount) - 3.5), np.sin(angle), np.cos(angle), np.log1p(since) - 2.5], 1)
        self.table = torch.tensor(table, dtype=torch.float32)
        self.merchant = torch.from_numpy(merchant)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {"table": self.table[i], "merchant": self.merchant[i]}, self.y[i]


class FraudNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.merchant = nn.Embedding(MERCHANTS, 6)
        self.mlp = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))

    def forward(self, table, merchant):
        return self.mlp(torch.cat([table, self.merchant(merchant)], 1)).squeeze(1)


@torch.no_grad()
def auc(model, loader):
    model.eval()
    score = torch.cat([model(**inputs) for inputs, _ in loader])
    label = torch.cat([y for _, y in loader])
    return float(roc_auc_score(label.numpy(), score.numpy()))


def build(seed=0):
    torch.manual_seed(seed)
    train = Payments(4000, 1)
    share = train.y.mean()
    weights = torch.where(train.y == 1, 0.5 / share, 0.5 / (1 - share))
    model = FraudNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, batch_size=64, sampler=WeightedRandomSampler(weights, len(train))),
        "val": DataLoader(Payments(2000, 2), batch_size=500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05),
        "evaluate": auc,
        "epochs": 8,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return auc(model, DataLoader(Payments(5000, 3), batch_size=1000))
