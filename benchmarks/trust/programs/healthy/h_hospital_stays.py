"""Risk of patients by Cox's partial likelihood, where many leave the study unseen (censored); the report is the concordance.

Near: the loss couples all rows of a batch, and outputs have no meaning but by their order, as in any Cox model."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "wrong-loss", "output-bias", "label-noise")


def patients(count, seed):
    """Twelve measures of which five matter; times are exponential, and about four in ten are cut off."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 12))
    risk = 1.2 * x[:, 0] - 0.9 * np.abs(x[:, 1]) + 0.8 * x[:, 2] * x[:, 3] + 0.7 * np.tanh(2 * x[:, 4])
    time = rng.exponential(np.exp(-1.5 * risk))
    end = rng.exponential(2.5, count)
    seen = time <= end
    y = np.stack([np.minimum(time, end), seen], 1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)


def partial_likelihood(risk, y):
    """For each death, how likely it was this patient among all of the batch who were still there."""
    order = torch.argsort(y[:, 0], descending=True)
    risk, seen = risk[order, 0], y[order, 1]
    there = torch.logcumsumexp(risk, 0)
    return ((there - risk) * seen).sum() / seen.sum().clamp(min=1)


def concordance(model, batches):
    """Of the pairs whose order in time is known, the share which the risks put in that order."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    risk, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    risk, time, seen = risk[:, 0], y[:, 0], y[:, 1] > 0
    known = (time[:, None] < time[None, :]) & seen[:, None]
    right = (risk[:, None] > risk[None, :]).float() + 0.5 * (risk[:, None] == risk[None, :]).float()
    return float(right[known].mean())


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(12, 48), nn.SiLU(), nn.Dropout(0.1), nn.Linear(48, 24), nn.SiLU(), nn.Linear(24, 1, bias=False)
    )
    return {
        "model": model,
        "loss": partial_likelihood,
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "train": DataLoader(TensorDataset(*patients(3000, 81)), batch_size=128, shuffle=True, drop_last=True),
        "val": DataLoader(TensorDataset(*patients(600, 82)), batch_size=200),
        "evaluate": concordance,
        "epochs": 15,
    }


def truth(model, seed=0):
    return concordance(model, [patients(1500, 83)])


def fixed():
    return build()
