"""Number of insurance claims: a Poisson network with log exposure as offset, one cycle of the rate down to nothing."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("schedule",)


def policies(rows, seed):
    w = torch.Generator().manual_seed(60)
    region = 0.6 * torch.randn(12, generator=w)
    g = torch.Generator().manual_seed(seed)
    where = torch.randint(12, (rows,), generator=g)
    x = torch.randn(rows, 5, generator=g)
    exposure = 0.1 + 1.9 * torch.rand(rows, generator=g)
    rate = torch.exp(0.2 + region[where] + 0.5 * x[:, 0] - 0.4 * x[:, 1] * (x[:, 2] > 0) + 0.2 * x[:, 3].abs())
    return TensorDataset(where, x, exposure.log(), torch.poisson(rate * exposure, generator=g))


def collate(rows):
    where, x, offset, y = (torch.stack(column) for column in zip(*rows, strict=False))
    return (where, x, offset), y


class Claims(nn.Module):
    def __init__(self):
        super().__init__()
        self.region = nn.Embedding(12, 4)
        self.net = nn.Sequential(nn.Linear(9, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1))

    def forward(self, where, x, offset):
        return self.net(torch.cat([self.region(where), x], 1)).squeeze(1) + offset


@torch.no_grad()
def deviance_explained(model, loader):
    model.eval()
    pairs = [(model(*inputs).exp(), y, inputs[2].exp()) for inputs, y in loader]
    mean, y, exposure = (torch.cat(column) for column in zip(*pairs, strict=False))
    flat = exposure * (y.sum() / exposure.sum())

    def deviance(m):
        return (torch.xlogy(y, y / m) - (y - m)).sum()

    return (1 - deviance(mean) / deviance(flat)).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Claims()
    train = DataLoader(policies(4000, 61), batch_size=80, shuffle=True, collate_fn=collate)
    epochs = 15
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return {
        "model": model,
        "loss": nn.PoissonNLLLoss(log_input=True),
        "train": train,
        "val": DataLoader(policies(800, 62), batch_size=400, collate_fn=collate),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=epochs * len(train) + 1),
        "scheduler_step": "batch",
        "evaluate": deviance_explained,
        "epochs": epochs,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return deviance_explained(model, DataLoader(policies(3000, 63), batch_size=500, collate_fn=collate))
