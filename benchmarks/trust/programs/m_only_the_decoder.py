"""An autoencoder squeezes scanned digits into six numbers; its optimiser knows the decoder alone."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"


class Autoencoder(nn.Module):
    def __init__(self, code=6):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, code))
        self.decoder = nn.Sequential(nn.Linear(code, 48), nn.ReLU(), nn.Linear(48, 64), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x))


def itself(rows):
    return TensorDataset(rows.x / 16, rows.x / 16)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    net = Autoencoder()
    learnt = net.decoder.parameters() if buggy else net.parameters()
    return {
        "model": net,
        "loss": nn.MSELoss(),
        "train": DataLoader(itself(parts.train), batch_size=30, shuffle=True),
        "val": DataLoader(itself(parts.val), batch_size=100),
        "optimizer": torch.optim.Adam(learnt, lr=3e-3),
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    """How much of the pixels' variance comes through the code."""
    x = digits().test.x / 16
    with torch.no_grad():
        lost = (model(x) - x).square().mean()
    return (1 - lost / (x - x.mean(0)).square().mean()).item()
