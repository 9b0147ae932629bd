"""Compresses scanned digits to 16 of 64 codes: a vector-quantised autoencoder.

Near: the nearest code is an argmin and the decoder's gradient passes it straight to the encoder, with a detached
difference; the codes learn by a term of their own, and the targets are the inputs."""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "target-leak", "dead-units")
CODES, WIDTH = 64, 8


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, WIDTH, 1),
        )
        self.codes = nn.Embedding(CODES, WIDTH)
        nn.init.normal_(self.codes.weight, std=0.1)
        self.decode = nn.Sequential(
            nn.Conv2d(WIDTH, 32, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 2, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1),
        )

    def forward(self, x):
        """The picture again, what the encoder said, and the codes nearest to it."""
        said = self.encode(x)
        flat = said.permute(0, 2, 3, 1)
        nearest = torch.cdist(flat.reshape(-1, WIDTH), self.codes.weight).argmin(1)
        code = self.codes(nearest).view(flat.shape).permute(0, 3, 1, 2)
        return self.decode(said + (code - said).detach()), said, code


def loss(outputs, pictures):
    again, said, code = outputs
    commitment = F.mse_loss(code, said.detach()) + 0.25 * F.mse_loss(said, code.detach())
    return F.mse_loss(again, pictures) + commitment


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x)[0], y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean(0)).square().sum()).item()


def pictures(rows):
    x = rows.x.view(-1, 1, 8, 8) / 16
    return TensorDataset(x, x)


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = Quantised()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(pictures(parts.train), batch_size=30, shuffle=True),
        "val": DataLoader(pictures(parts.val), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(pictures(digits().test), batch_size=200))


def fixed():
    return build()
