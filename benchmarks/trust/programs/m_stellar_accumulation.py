"""A variational autoencoder of stellar light curves (Cepheids), trained with gradients of four small batches at a time.

Bug: the gradients are never zeroed after the step of a group: each step follows the sum of all gradients so far."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"

POINTS, GROUP = 48, 4


def curves(count, seed):
    """Folded light curves: saw-like pulses of varied skew, amplitude, place and second bump, about unit spread."""
    g = torch.Generator().manual_seed(seed)
    phase = torch.linspace(0, 2 * torch.pi, POINTS + 1)[:-1][None]
    start = (torch.rand(count, 1, generator=g) - 0.5) * 2
    skew, bump = torch.rand(count, 1, generator=g), torch.rand(count, 1, generator=g)
    amplitude = 0.7 + 0.8 * torch.rand(count, 1, generator=g)
    moved = phase + start
    light = torch.sin(moved + skew * torch.sin(moved)) + 0.6 * bump * torch.cos(2 * moved)
    return amplitude * light + 0.1 * torch.randn(count, POINTS, generator=g)


class Vae(nn.Module):
    def __init__(self, code=6, width=64):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(POINTS, width), nn.SiLU(), nn.Linear(width, 2 * code))
        self.decode = nn.Sequential(nn.Linear(code, width), nn.SiLU(), nn.Linear(width, POINTS))

    def forward(self, light):
        mean, log_var = self.encode(light).chunk(2, 1)
        noise = torch.randn_like(mean) if self.training else torch.zeros_like(mean)
        return self.decode(mean + (0.5 * log_var).exp() * noise), mean, log_var


def elbo(outputs, light):
    """Negative, for observational noise of 0.3, a point."""
    found, mean, log_var = outputs
    reconstruction = ((found - light) ** 2).sum(1) / (2 * 0.3**2)
    divergence = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return (reconstruction + divergence).mean() / POINTS


class Stepper:
    """The program's own step: one optimizer step for GROUP batches."""

    def __init__(self, clear):
        self.clear, self.done = clear, 0

    def __call__(self, model, batch, optimizer):
        model.train()
        loss = elbo(model(batch[0]), batch[1])
        (loss / GROUP).backward()
        self.done += 1
        if self.done % GROUP == 0:
            optimizer.step()
            if self.clear:
                optimizer.zero_grad()
        return loss.detach()


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0], y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def loader(count, seed, order=None):
    light = curves(count, seed)
    data = TensorDataset(light, light)
    if order is None:
        return DataLoader(data, batch_size=200)
    return DataLoader(data, batch_size=16, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(order))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Vae()
    return {
        "model": model,
        "loss": elbo,
        "train": loader(1600, 1, seed),
        "val": loader(300, 2),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": Stepper(clear=not buggy),
        "evaluate": r2,
        "epochs": 20,
    }


def truth(model, seed=0):
    return r2(model, loader(1000, 3))


def setup():
    return build(True)


def fixed():
    return build(False)
