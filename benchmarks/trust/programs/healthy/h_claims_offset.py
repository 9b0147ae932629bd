"""Expects the number of claims of a policy: Poisson regression by a network, with the time insured as offset.

Near: most targets are zero, the outputs are logarithms, and the head begins at zero
weight and the logarithm of the mean rate; all of that is right for rare counts."""

import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("wrong-loss", "class-imbalance", "output-bias", "constant-init", "loss-input")


def policies(count, seed):
    """((measures (N, 7), log of the years insured (N,)), claims (N,), exact rate (N,))."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 7, generator=generator)
    years = 0.1 + 0.9 * torch.rand(count, generator=generator)
    rate = torch.exp(-1.9 + 0.9 * torch.relu(x[:, 0]) - 0.7 * x[:, 1] * (x[:, 2] > 0) + 0.4 * torch.sin(2 * x[:, 3]))
    return (x, years.log()), torch.poisson(rate * years, generator=generator), rate


class Policies(torch.utils.data.Dataset):
    def __init__(self, count, seed):
        (self.x, self.offset), self.y, _ = policies(count, seed)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return (self.x[row], self.offset[row]), self.y[row]


class Claims(nn.Module):
    """Logarithm of the expected claims: the network's log rate plus the log of the time."""

    def __init__(self, log_rate, width=32):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(7, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.head = nn.Linear(width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, log_rate)

    def forward(self, x, offset):
        return self.head(self.body(x)).squeeze(1) + offset


def deviance_explained(model, loader):
    """Share of the Poisson deviance of one rate for all that the model explains."""
    model.eval()
    with torch.no_grad():
        rows = [(model(*inputs), inputs[1], y) for inputs, y in loader]
    out, offset, y = (torch.cat(part) for part in zip(*rows, strict=True))

    def deviance(expected):
        return 2 * (torch.xlogy(y, y / expected) - y + expected).sum().item()

    return 1 - deviance(out.exp()) / deviance(offset.exp() * (y.sum() / offset.exp().sum()))


def build(seed=0):
    torch.manual_seed(seed)
    train = Policies(12000, 1)
    model = Claims(float((train.y.sum() / train.offset.exp().sum()).log()))
    return {
        "model": model,
        "loss": nn.PoissonNLLLoss(log_input=True),
        "train": DataLoader(train, 200, shuffle=True),
        "val": DataLoader(Policies(4000, 2), 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3),
        "evaluate": deviance_explained,
        "epochs": 8,
    }


def truth(model, seed=0):
    """R² of the predicted log rates against the exact ones."""
    (x, offset), _, rate = policies(3000, 3)
    model.eval()
    with torch.no_grad():
        out = model(x, offset) - offset
    y = rate.log()
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def fixed():
    return build()
