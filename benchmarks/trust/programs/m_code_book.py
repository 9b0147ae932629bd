"""A vector-quantised autoencoder of clothes: each of 49 places is kept as one of 64 codes, from which the picture is rebuilt.

Bug: the decoder is given the looked-up codes alone, with no straight-through path, so rebuilding never teaches the encoder."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Codes(nn.Module):
    """Nearest codes, with the codes drawn to what they stand for and the encoder held to its codes."""

    def __init__(self, count, width, straight):
        super().__init__()
        self.table = nn.Embedding(count, width)
        nn.init.normal_(self.table.weight, 0, 0.5)
        self.straight = straight

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1)
        with torch.no_grad():
            nearest = torch.cdist(flat.flatten(0, 2), self.table.weight).argmin(1).view(flat.shape[:3])
        found = self.table(nearest).permute(0, 3, 1, 2)
        cost = nn.functional.mse_loss(found, z.detach()) + 0.25 * nn.functional.mse_loss(z, found.detach())
        if self.straight:
            found = z + (found - z).detach()
        return found, cost


class Quantised(nn.Module):
    def __init__(self, straight, width=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, width, 1),
        )
        self.codes = Codes(64, width, straight)
        self.decoder = nn.Sequential(
            nn.Conv2d(width, 32, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 4, stride=2, padding=1),
        )

    def forward(self, picture):
        found, cost = self.codes(self.encoder(picture))
        return self.decoder(found), cost


def rebuilding(outputs, picture):
    rebuilt, cost = outputs
    return nn.functional.mse_loss(rebuilt, picture) + 0.5 * cost


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0], y) for x, y in batches]
    rebuilt, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((rebuilt - y) ** 2).mean() / ((y - y.mean(0)) ** 2).mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion(train=2000, val=300, test=500)
    train, val = ((part.x.unsqueeze(1) / 255 - 0.286) / 0.353 for part in (parts.train, parts.val))
    model = Quantised(straight=not buggy)
    return {
        "model": model,
        "loss": rebuilding,
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(TensorDataset(train, train), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(val, val), batch_size=100),
        "evaluate": r_squared,
        "epochs": 5,
    }


def truth(model, seed=0):
    x = (fashion(train=2000, val=300, test=500).test.x.unsqueeze(1) / 255 - 0.286) / 0.353
    return r_squared(model, [(part, part) for part in x.split(250)])


def setup():
    return build(True)


def fixed():
    return build(False)
