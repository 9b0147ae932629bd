"""Ranks patients by risk from censored survival times (DeepSurv).

Near: batch-mixing and metric-averaging; Cox's partial likelihood sets each death against all that were still at risk, so
a row's loss depends on the batch's other rows by design, though the network itself treats every row alone."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "metric-averaging", "dropped-rows")


def patients(rows=3000):
    """Ten measures; the time of death or of leaving the study, and whether it was death."""
    draw = torch.Generator().manual_seed(4)
    x = torch.randn(rows, 10, generator=draw)
    risk = 1.2 * x[:, 0] + 0.9 * x[:, 1] * x[:, 2] + 0.8 * (x[:, 3].abs() - 0.8) - 0.7 * torch.tanh(2 * x[:, 4])
    death = -torch.log(torch.rand(rows, generator=draw).clamp(min=1e-6)) * torch.exp(-risk)
    leaving = -torch.log(torch.rand(rows, generator=draw).clamp(min=1e-6)) * 2.5
    return x, torch.stack([torch.minimum(death, leaving), (death <= leaving).float()], 1)


def loss(outputs, targets):
    order = targets[:, 0].argsort(descending=True)
    risk, died = outputs[order, 0], targets[order, 1]
    return ((torch.logcumsumexp(risk, 0) - risk) * died).sum() / died.sum().clamp(min=1)


@torch.no_grad()
def concordance(model, x, y):
    """Of the pairs whose earlier end is a death, the share in which that patient had the higher risk."""
    model.eval()
    risk, time, died = model(x)[:, 0], y[:, 0], y[:, 1].bool()
    known = (time.unsqueeze(1) < time.unsqueeze(0)) & died.unsqueeze(1)
    return (risk.unsqueeze(1) > risk.unsqueeze(0))[known].float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    x, y = patients()
    model = nn.Sequential(
        nn.Linear(10, 48), nn.SELU(), nn.Linear(48, 48), nn.SELU(), nn.Dropout(0.1), nn.Linear(48, 1, bias=False)
    )
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(x[:2000], y[:2000]),
            batch_size=100,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(x[2000:2400], y[2000:2400]), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": lambda model, loader: concordance(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 15,
    }


def truth(model, seed=0):
    x, y = patients()
    return concordance(model, x[2400:], y[2400:])


def fixed():
    return build()
