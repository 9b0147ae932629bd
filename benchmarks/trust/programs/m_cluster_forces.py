"""A neural potential of argon-like clusters of four atoms in a plane, fitted to energies and forces.

Bug: the forces are taken without create_graph, so that the loss on them reaches no weight."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"
ATOMS = 4
ONE, OTHER = torch.triu_indices(ATOMS, ATOMS, 1)


def distances(places):
    return (places[:, ONE] - places[:, OTHER]).norm(dim=-1)


def clusters(rows, seed):
    """Places (rows, 4, 2), and (energies (rows,), forces (rows, 4, 2)) of Morse pairs in a three-body field."""
    g = torch.Generator().manual_seed(seed)
    square = torch.tensor([[0.0, 0.0], [1.1, 0.0], [1.1, 1.1], [0.0, 1.1]])
    places = (square + 0.13 * torch.randn(rows, ATOMS, 2, generator=g)).requires_grad_()
    r = distances(places)
    energy = ((1 - torch.exp(-2.0 * (r - 1.1))) ** 2 - 1).sum(1) + 0.4 * torch.sin(2 * r).prod(1)
    (slope,) = torch.autograd.grad(energy.sum(), places)
    noisy = energy.detach() + 0.05 * torch.randn(rows, generator=g)
    return places.detach(), noisy, -slope


class Potential(nn.Module):
    """Answers energies and the forces, minus their slope."""

    def __init__(self, create_graph=True):
        super().__init__()
        self.create_graph = create_graph
        self.net = nn.Sequential(nn.Linear(6, 48), nn.Softplus(), nn.Linear(48, 48), nn.Softplus(), nn.Linear(48, 1))

    def forward(self, places):
        with torch.enable_grad():
            places = places.detach().requires_grad_()
            energy = self.net(4 * (distances(places) - 1.3)).squeeze(1)
            (slope,) = torch.autograd.grad(energy.sum(), places, create_graph=self.create_graph, retain_graph=True)
        return energy, -slope


def energies_and_forces(outputs, targets):
    (energy, force), (true_energy, true_force) = outputs, targets
    return nn.functional.mse_loss(energy, true_energy) + nn.functional.mse_loss(force, true_force)


def as_pairs(rows):
    places, energies, forces = zip(*rows, strict=False)
    return torch.stack(places), (torch.stack(energies), torch.stack(forces))


def explained(model, loader):
    model.eval()
    f, y = (torch.cat(part) for part in zip(*[(model(x)[1].detach(), y[1]) for x, y in loader], strict=False))
    return 1 - ((f - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Potential(create_graph=not buggy)
    return {
        "model": model,
        "loss": energies_and_forces,
        "train": DataLoader(TensorDataset(*clusters(600, 91)), 20, shuffle=True, collate_fn=as_pairs),
        "val": DataLoader(TensorDataset(*clusters(200, 92)), 100, collate_fn=as_pairs),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": explained,
        "epochs": 40,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*clusters(1000, 93)), 250, collate_fn=as_pairs))


def setup():
    return build(True)


def fixed():
    return build(False)
