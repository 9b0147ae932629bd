"""Policy evaluation offline: a critic learns the discounted cost-to-go of a damped cart from logged episodes.

Bug: the error itself is clipped to [-1, 1] before it is squared (what DQN's paper means by "clipping" is Huber's loss),
so whatever the critic misses by more than 1 has no gradient at all.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ("gradient-cut",)
HIGHER = "truth"
STEPS, GAMMA = 40, 0.95


def episodes(count, seed):
    """Position, speed and the wind at the start of each episode, and its discounted return under a noisy PD policy."""
    g = torch.Generator().manual_seed(seed)
    position, speed = 2 * torch.randn(count, generator=g), 1.5 * torch.randn(count, generator=g)
    wind = torch.rand(count, generator=g) * 2 - 1
    states = torch.stack([position, speed, wind], 1)
    returns = torch.zeros(count)
    for step in range(STEPS):
        push = -1.2 * position - 0.8 * speed + 0.3 * torch.randn(count, generator=g)
        reward = 0.5 - 0.25 * position.abs() - 0.05 * push**2
        returns += GAMMA**step * reward
        speed = speed + 0.1 * (push + 0.8 * wind)
        position = position + 0.1 * speed
    return states, returns


def clipped_error(values, returns):
    return 0.5 * (returns - values).clamp(-1, 1).square().mean()


class Critic(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )

    def forward(self, states):
        return self.net(states).squeeze(-1)


def explained_variance(model, loader):
    model.eval()
    with torch.no_grad():
        values, returns = (torch.cat(part) for part in zip(*[(model(s), r) for s, r in loader], strict=True))
    return 1 - ((returns - values) ** 2).mean().item() / returns.var(unbiased=False).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Critic()
    return {
        "model": model,
        "loss": clipped_error if buggy else nn.SmoothL1Loss(),
        "train": DataLoader(
            TensorDataset(*episodes(2000, 1)),
            batch_size=64,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(*episodes(500, 2)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained_variance,
        "epochs": 25,
    }


def truth(model, seed=0):
    return explained_variance(model, DataLoader(TensorDataset(*episodes(1000, 3)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
