"""Fashion pictures as 7 by 7 codes out of a book of 64: a VQ-VAE (van den Oord et al. 2017), scored by what it redraws."""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Quantiser(nn.Module):
    def __init__(self, codes=64, dim=16, straight_through=True):
        super().__init__()
        self.book = nn.Embedding(codes, dim)
        nn.init.normal_(self.book.weight, std=0.3)
        self.straight_through = straight_through

    def forward(self, z):
        flat = z.permute(0, 2, 3, 1)
        far = (flat**2).sum(-1, keepdim=True) - 2 * flat @ self.book.weight.T + (self.book.weight**2).sum(1)
        q = self.book(far.argmin(-1)).permute(0, 3, 1, 2)
        book_loss, commit = F.mse_loss(q, z.detach()), F.mse_loss(z, q.detach())
        q = z + (q - z).detach() if self.straight_through else q
        return q, book_loss + 0.25 * commit


class VQVAE(nn.Module):
    def __init__(self, dim=16, straight_through=True):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, dim, 1)
        )
        self.quantiser = Quantiser(64, dim, straight_through)
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, 32, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 1, 4, 2, 1),
        )

    def forward(self, x):
        q, extra = self.quantiser(self.encoder(x))
        return self.decoder(q), extra


def vq_loss(outputs, x):
    drawn, extra = outputs
    return F.mse_loss(drawn, x) / 0.12 + extra


def redrawn(model, loader):
    """1 - squared error / variance of the pixels."""
    model.eval()
    wrong, x_all = 0.0, []
    with torch.no_grad():
        for x, y in loader:
            wrong += F.mse_loss(model(x)[0], y, reduction="sum").item()
            x_all.append(y)
    x = torch.cat(x_all)
    return 1 - wrong / ((x - x.mean(0)) ** 2).sum().item()


def step(model, batch, optimizer):
    model.train()
    x, y = batch
    loss = vq_loss(model(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def loader(rows, size, shuffle=False):
    x = rows.x[:, None].float() / 255
    return DataLoader(TensorDataset(x, x), size, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = fashion(2000, 400, 600)
    model = VQVAE(straight_through=not buggy)
    return {
        "model": model,
        "loss": vq_loss,
        "train": loader(data.train, 32, True),
        "val": loader(data.val, 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train_step": step,
        "evaluate": redrawn,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return redrawn(model, loader(fashion(2000, 400, 600).test, 200))
