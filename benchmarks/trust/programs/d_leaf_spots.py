"""Sorts simulated 20 x 20 colour photographs of leaves into healthy, rust, mildew and scorch with a small residual CNN.

Bug: training pictures are decoded as blue, green, red; validation and use decode them as red, green, blue."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"
SIDE = 20
SPOTS = torch.tensor([[0.30, 0.50, 0.22], [0.58, 0.42, 0.25], [0.52, 0.60, 0.50], [0.34, 0.36, 0.36]])


def photographs(count, seed):
    """Bytes (N, 3, 20, 20) in RGB and conditions (N,)."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(4, (count,), generator=g)
    leaf = torch.tensor([0.27, 0.50, 0.24]) + 0.06 * torch.randn(count, 3, generator=g)
    grid = torch.linspace(-1, 1, SIDE)
    places = torch.rand(count, 3, 2, generator=g) * 1.6 - 0.8
    sizes = 0.02 + 0.04 * torch.rand(count, 3, 1, generator=g)
    rows = torch.exp(-((grid - places[..., :1]) ** 2) / sizes)
    columns = torch.exp(-((grid - places[..., 1:]) ** 2) / sizes)
    mask = torch.einsum("nkr,nkc->nkrc", rows, columns).amax(1).unsqueeze(1)
    colour = (SPOTS[y] + 0.05 * torch.randn(count, 3, generator=g)).view(count, 3, 1, 1)
    x = leaf.view(count, 3, 1, 1) * (1 - mask) + colour * mask
    x = x * (0.8 + 0.4 * torch.rand(count, 1, 1, 1, generator=g)) + 0.05 * torch.randn(x.shape, generator=g)
    return (x.clamp(0, 1) * 255).byte(), y


class Leaves(Dataset):
    def __init__(self, count, seed, decode="RGB"):
        self.x, self.y = photographs(count, seed)
        self.decode = decode

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        picture = self.x[index].float() / 255
        if self.decode == "BGR":
            picture = picture.flip(0)
        return (picture - 0.4) / 0.2, self.y[index]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(4, width), nn.GroupNorm(4, width)])

    def forward(self, x):
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(x + self.norms[1](self.second(inner)))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(), Block(16), Block(16),
        nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 4),
    )  # fmt: skip

    @torch.no_grad()
    def evaluate(model, loader):
        model.eval()
        return torch.cat([model(x).argmax(1) == y for x, y in loader]).float().mean().item()

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(Leaves(1200, 1, "BGR" if buggy else "RGB"), batch_size=32, shuffle=True),
        "val": DataLoader(Leaves(400, 2), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 5,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    rows = Leaves(800, 3)
    x, y = (torch.stack(part) for part in zip(*rows, strict=True))
    return (model(x).argmax(1) == y).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
