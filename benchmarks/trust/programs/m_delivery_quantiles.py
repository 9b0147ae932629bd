"""The 10 %, 50 % and 90 % points of delivery times (made up), pinball loss, gradients of four small batches summed.

Bug: gradients are never cleared, so that each step is taken along the sum of all batches so far."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"
LEVELS = torch.tensor([0.1, 0.5, 0.9])
EVERY = 4


def deliveries(rows, seed):
    """Distance, load, hour and rain, standardised; the time has a spread that grows with load and rain."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=g)
    distance, load, hour, rain = x.unbind(1)
    middle = 1.2 * distance + 0.8 * torch.sin(1.5 * hour) + 0.5 * distance * rain
    spread = 0.3 * torch.nn.functional.softplus(load + 0.5 * rain)
    return x, middle + spread * torch.randn(rows, generator=g)


def pinball(outputs, times):
    over = times[:, None] - outputs
    return torch.maximum(LEVELS * over, (LEVELS - 1) * over).mean()


def steps(clears):
    """The program's own step: an update after every fourth batch, of the mean of their gradients."""
    seen = 0

    def step(model, batch, optimizer):
        nonlocal seen
        model.train()
        x, times = batch
        loss = pinball(model(x), times)
        (loss / EVERY).backward()
        seen += 1
        if seen % EVERY == 0:
            optimizer.step()
            if clears:
                optimizer.zero_grad()
        return loss.detach()

    return step


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    return {
        "model": model,
        "loss": pinball,
        "train": DataLoader(
            TensorDataset(*deliveries(3200, 1)), 16, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*deliveries(800, 2)), 400),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "train_step": steps(clears=not buggy),
        "evaluate": skill,
        "epochs": 20,
    }


@torch.no_grad()
def skill(model, loader):
    """One minus the pinball loss over that of the sample's own three quantiles."""
    model.eval()
    pairs = [(model(x), times) for x, times in loader]
    outputs, times = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - (pinball(outputs, times) / pinball(times.quantile(LEVELS), times)).item()


def truth(model, seed=0):
    return skill(model, [deliveries(2000, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
