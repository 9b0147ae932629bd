"""Predicts weekly cases of a fever in districts, counts of mean 2 with many zeros, by Poisson likelihood with exposure.

Near: output-bias, since the head begins at the log of the mean rate; wrong-loss and loss-input, since the model answers
log rates (poisson_nll_loss wants these by default) and its loss may be negative; class-imbalance, since most rows are 0 or 1.
Score: share of the deviance that is explained, over what the true rates explain."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("output-bias", "wrong-loss", "loss-input", "loss-sign", "constant-init")


def districts(count, seed):
    """Columns (N, 6), of which the last is the log of the inhabitants (in 10,000); cases (N,) and their true rates."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=g)
    heat, rain, nets, height, season = x[:, :5].unbind(1)
    log_rate = (
        -0.4
        + 0.8 * torch.tanh(heat)
        + 0.5 * rain
        - 0.3 * rain.square() * (height > 0)
        - 0.4 * nets
        + 0.5 * torch.sin(2 * season)
    )
    x[:, 5] = 0.5 + 0.5 * x[:, 5]
    rate = (log_rate + x[:, 5]).exp()
    return x, torch.poisson(rate, generator=g), rate


class Rates(nn.Module):
    def __init__(self, mean_log_rate):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh())
        self.head = nn.Linear(48, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, mean_log_rate)

    def forward(self, x):
        return self.head(self.body(x[:, :5])).squeeze(1) + x[:, 5]


def deviance(cases, rate):
    return 2 * (torch.xlogy(cases, cases / rate) - cases + rate).mean()


def build(seed=0):
    torch.manual_seed(seed)
    x, cases, _ = districts(3000, 1)
    held, theirs, _ = districts(500, 2)
    model = Rates((cases.mean() / x[:, 5].exp().mean()).log().item())
    return {
        "model": model,
        "loss": nn.PoissonNLLLoss(),
        "train": DataLoader(TensorDataset(x, cases), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(held, theirs), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 15,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, cases, rate = districts(3000, 3)
    none = deviance(cases, x[:, 5].exp() * cases.mean() / x[:, 5].exp().mean())
    return ((none - deviance(cases, model(x).exp())) / (none - deviance(cases, rate))).item()


def fixed():
    return build()
