"""Forces on a flat molecule of five beads: a network says one energy, and the forces are its negative slope by torch.func.

Near: the energy's last bias never gets a gradient (its zero is free), outputs are gradients themselves, and evaluating needs them under no_grad."""

import torch
from torch import nn
from torch.func import grad, vmap
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "gradient-cut", "output-bias", "dead-units")

BEADS = 5


def energy(places):
    """Springs between neighbours in a ring and a soft push between all beads."""
    gaps = places[:, None] - places[None, :]
    far = (gaps.square().sum(2) + 1e-3).sqrt()
    ring = torch.arange(BEADS)
    springs = 2.0 * (far[ring, ring.roll(1)] - 1.0).square().sum()
    return springs + 0.3 * torch.exp(-far).sum()


def molecules(count, seed):
    """Beads scattered about a ring; the measured forces have a little noise and are in their deviation's unit."""
    draw = torch.Generator().manual_seed(seed)
    angle = torch.arange(BEADS) * 2 * torch.pi / BEADS
    ring = 0.85 * torch.stack([angle.cos(), angle.sin()], 1)
    places = ring + 0.2 * torch.randn(count, BEADS, 2, generator=draw)
    force = -vmap(grad(energy))(places) / 1.5
    return places, force + 0.03 * torch.randn(force.shape, generator=draw)


class Energy(nn.Module):
    """A smooth network over the distances of all pairs, so that turning or shifting the molecule changes nothing."""

    def __init__(self, width=64):
        super().__init__()
        self.register_buffer("pairs", torch.combinations(torch.arange(BEADS), 2).T)
        self.layers = nn.Sequential(
            nn.Linear(BEADS * (BEADS - 1) // 2, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 1),
        )

    def energy(self, places):
        far = (places[self.pairs[0]] - places[self.pairs[1]]).square().sum(1).add(1e-6).sqrt()
        return self.layers(far - 1.2).squeeze(0)

    def forward(self, places):
        return -vmap(grad(self.energy))(places)


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def build(seed=0):
    torch.manual_seed(seed)
    model = Energy()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "train": DataLoader(TensorDataset(*molecules(1500, 91)), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*molecules(300, 92)), batch_size=100),
        "evaluate": r_squared,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r_squared(model, [molecules(600, 93)])


def fixed():
    return build()
