"""Regresses a made-up energy of small molecules (up to 10 atoms) by message passing over their adjacency.

Bug: the optimizer is given the atoms' embedding and the readout, and the two rounds of messages are left out."""

from itertools import chain

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"
ATOMS, KINDS = 10, 4
WORTH = torch.tensor([0.0, 0.3, 0.8, -0.5, 1.2])


def molecules(count, seed):
    """Kinds (N, 10), 0 where there is no atom; bonds (N, 10, 10); standardised energies (N,)."""
    g = torch.Generator().manual_seed(seed)
    kinds = torch.randint(1, KINDS + 1, (count, ATOMS), generator=g)
    kinds[torch.arange(ATOMS) >= torch.randint(4, ATOMS + 1, (count, 1), generator=g)] = 0
    there = kinds > 0
    parents = (torch.rand(count, ATOMS, generator=g) * torch.arange(ATOMS)).long()
    bonds = F.one_hot(parents, ATOMS).float()
    bonds[:, 0] = 0  # the root of the tree
    bonds = (bonds + bonds.transpose(1, 2)) * there.unsqueeze(1) * there.unsqueeze(2)
    charge = WORTH[kinds] * there
    around = (bonds @ charge.unsqueeze(2)).squeeze(2)
    energy = (charge * around).sum(1) + 0.8 * F.relu(around - 1.5).sum(1) - 0.5 * (bonds.sum(2) == 3).sum(1)
    energy = energy + 0.1 * torch.randn(count, generator=g)
    return kinds, bonds, (energy - 3.4) / 2.9


class Messages(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.own, self.others = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, atoms, bonds):
        return atoms + F.silu(self.norm(self.own(atoms) + bonds @ self.others(atoms)))


class Network(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.atoms = nn.Embedding(KINDS + 1, width, padding_idx=0)
        self.rounds = nn.ModuleList([Messages(width), Messages(width)])
        self.readout = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, kinds, bonds):
        there = (kinds > 0).unsqueeze(2)
        hidden = self.atoms(kinds)
        for messages in self.rounds:
            hidden = messages(hidden, bonds) * there
        return (self.readout(hidden) * there).sum((1, 2))


def loader(count, seed, shuffle=False):
    kinds, bonds, energy = molecules(count, seed)
    rows = [((kinds[i], bonds[i]), energy[i]) for i in range(count)]

    def collate(rows):
        inputs, targets = zip(*rows, strict=True)
        return tuple(torch.stack(part) for part in zip(*inputs, strict=True)), torch.stack(targets)

    return DataLoader(rows, batch_size=32, shuffle=shuffle, collate_fn=collate)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Network()
    if buggy:
        parameters = chain(model.atoms.parameters(), model.readout.parameters())
    else:
        parameters = chain(model.atoms.parameters(), model.rounds.parameters(), model.readout.parameters())
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": loader(2000, 1, shuffle=True),
        "val": loader(300, 2),
        "optimizer": torch.optim.AdamW(parameters, lr=3e-3, weight_decay=1e-4),
        "epochs": 12,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    kinds, bonds, energy = molecules(1000, 3)
    return 1 - ((model(kinds, bonds) - energy).square().mean() / energy.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
