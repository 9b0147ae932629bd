"""Takes the noise off small scans of digits with a convolutional encoder and decoder.

Near: lr-too-low, accumulation-scale; the loss is summed over pixels and rows, as the likelihood has it, hence a loss in the
hundreds and an SGD rate of 0.0001 that would be hopeless beside a mean. The noise on the inputs is drawn anew each epoch."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

BUG = None
NEAR = ("lr-too-low", "accumulation-scale", "train-val-mismatch", "label-noise")


class Noisy(Dataset):
    """Clean pictures under fresh noise."""

    def __init__(self, pictures, seed):
        self.pictures, self.draw = pictures, torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        clean = self.pictures[row]
        return clean + 0.35 * torch.randn(clean.shape, generator=self.draw), clean


def still_noise(pictures, seed):
    """The same noise at every call, so that scores can be compared."""
    return pictures + 0.35 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(seed))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()
        )
        self.middle = nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 512), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(32, 16, 2, stride=2), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1))

    def forward(self, pictures):
        low = self.down(pictures)
        return self.up(low + self.middle(low).view_as(low))


@torch.no_grad()
def r2(model, noisy, clean):
    model.eval()
    return (1 - ((model(noisy) - clean) ** 2).sum() / ((clean - clean.mean(0)) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    train, val = (part.x.view(-1, 1, 8, 8) / 16 for part in digits()[:2])
    model = Denoiser()
    return {
        "model": model,
        "loss": nn.MSELoss(reduction="sum"),
        "train": DataLoader(
            Noisy(train, seed), batch_size=30, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(still_noise(val, 1), val), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9),
        "evaluate": lambda model, loader: r2(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 30,
    }


def truth(model, seed=0):
    clean = digits().test.x.view(-1, 1, 8, 8) / 16
    return r2(model, still_noise(clean, 2), clean)


def fixed():
    return build()
