"""Compresses clothes to 7 by 7 codes of 64 words and back: a VQ-VAE on Fashion-MNIST.

Bug: the straight-through step is forgotten, so the decoder's error cannot reach the encoder."""

import torch
from material import fashion
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Quantizer(nn.Module):
    def __init__(self, words, width, straight_through, commitment=0.25):
        super().__init__()
        self.straight_through, self.commitment = straight_through, commitment
        self.book = nn.Embedding(words, width)
        nn.init.uniform_(self.book.weight, -0.5, 0.5)

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1)
        distance = torch.cdist(flat.flatten(0, 2), self.book.weight)
        quantized = self.book(distance.argmin(1)).view_as(flat).permute(0, 3, 1, 2)
        cost = F.mse_loss(quantized, z.detach()) + self.commitment * F.mse_loss(z, quantized.detach())
        if self.straight_through:
            quantized = z + (quantized - z).detach()
        return quantized, cost


class VQVAE(nn.Module):
    def __init__(self, straight_through, width=32, code=8, words=64):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, width, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, code, 1),
        )
        self.quantizer = Quantizer(words, code, straight_through)
        self.decoder = nn.Sequential(
            nn.Conv2d(code, width, 3, 1, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1),
        )

    def forward(self, pictures):
        quantized, cost = self.quantizer(self.encoder(pictures))
        return self.decoder(quantized), cost


def vq_loss(variance):
    """Squared error as a share of the pictures' variance, plus the codebook's cost."""

    def loss(outputs, pictures):
        rebuilt, cost = outputs
        return F.mse_loss(rebuilt, pictures) / variance + cost

    return loss


def pictures_of(rows):
    grey = rows.x[:, None].float() / 255
    return TensorDataset(grey, grey)


def explained(model, loader):
    """Share of the pixels' variance that the rebuilt pictures explain."""
    model.eval()
    with torch.no_grad():
        rebuilt, true = (torch.cat(part) for part in zip(*((model(x)[0], y) for x, y in loader), strict=True))
    return 1 - ((rebuilt - true).square().mean() / true.var()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    train = pictures_of(parts.train)
    model = VQVAE(straight_through=not buggy)
    return {
        "model": model,
        "loss": vq_loss(train.tensors[0].var()),
        "train": DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(pictures_of(parts.val), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 6,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(pictures_of(fashion().test), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
