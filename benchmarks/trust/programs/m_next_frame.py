"""Foretells the next 16 ms spectrum of a spoken digit from the spectra so far, with a GRU and a short convolution over its states.

Bug: the convolution is centred, so that it sees the state after the frame that it is to foretell."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ("target-leak",)
HIGHER = "truth"
FRAMES = 24


def scaled(x):
    return (x + 6.0) / 4.0


def pairs(x):
    """Frames 0..22 and, for each, the frame after it."""
    x = scaled(x[:, :FRAMES])
    return TensorDataset(x[:, :-1], x[:, 1:])


class NextFrame(nn.Module):
    """A GRU over the frames, and a convolution over its last three states that smooths what it says."""

    def __init__(self, around, width=96):
        super().__init__()
        self.around = around  # places added before and behind the states, for the convolution
        self.embed = nn.Linear(43, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.smooth = nn.Conv1d(width, 64, 3)
        self.out = nn.Linear(64, 43)

    def forward(self, x):
        states, _ = self.memory(nn.functional.gelu(self.embed(x)))
        states = nn.functional.pad(self.norm(states).transpose(1, 2), self.around)
        return x + self.out(nn.functional.gelu(self.smooth(states)).transpose(1, 2))


def skill(model, loader):
    """Share of the squared error of "the next frame is as this one" that the model does away with."""
    model.eval()
    with torch.no_grad():
        found = [((model(x) - y).square().sum(), (x - y).square().sum()) for x, y in loader]
    return 1 - sum(ours.item() for ours, _ in found) / sum(plain.item() for _, plain in found)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd(900, 300)
    model = NextFrame(around=(1, 1) if buggy else (2, 0))
    train = DataLoader(pairs(parts.train.x), 32, shuffle=True, generator=torch.Generator().manual_seed(seed))
    epochs = 8
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "val": DataLoader(pairs(parts.val.x), 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * len(train)),
        "scheduler_step": "batch",
        "evaluate": skill,
        "epochs": epochs,
        "causal": True,
    }


def truth(model, seed=0):
    """The skill where each frame is foretold from those before it alone, as when the sound is still coming in."""
    x = scaled(fsdd(900, 300).test.x[:, :FRAMES])
    model.eval()
    with torch.no_grad():
        guess = torch.stack([model(x[:, :seen])[:, -1] for seen in range(1, FRAMES)], 1)
    return 1 - ((guess - x[:, 1:]).square().sum() / (x[:, :-1] - x[:, 1:]).square().sum()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
