"""Fashion-MNIST by a small residual network whose branches all begin silent: the last norm of each is scaled by zero.

Near: zero weights that look like a constant start, branches that add nothing at first, and BatchNorm's shared batch;
each channel's zero gets its own gradient, as in torchvision's zero_init_residual."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "batch-mixing", "init-scale")


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        nn.init.zeros_(self.norms[1].weight)

    def forward(self, x):
        h = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(x + self.norms[1](self.second(h)))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        Block(16),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Block(32),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


def prepared(rows):
    return (rows.x[:, None].float() / 255 - 0.286) / 0.353, rows.y


def build(seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = network()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(
            TensorDataset(*prepared(parts.train)), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*prepared(parts.val)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 12,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return accuracy(model, [prepared(fashion().test)])


def fixed():
    return build()
