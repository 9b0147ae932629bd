"""A Transformer encoder names the nonlinear oscillator (of four) behind a short noisy trajectory of unequal length.

Bug: the exponential decay that is meant for epochs is stepped after each batch."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"

KINDS, LONGEST = 4, 40


def simulate(count, seed):
    """Position and speed of a damped, a Duffing, a Van der Pol oscillator and a pendulum, from random starts."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.randint(KINDS, (count,), generator=g)
    x = 1.2 + 1.2 * torch.rand(count, generator=g)
    v = torch.zeros(count)
    dt, path = 0.05, []
    for step in range(LONGEST * 5):
        force = torch.stack([-x - 0.15 * v, -0.5 * x - 0.5 * x**3, -x + 0.8 * (1 - x**2) * v, -torch.sin(x)])
        v = v + dt * force.gather(0, kind[None])[0]
        x = x + dt * v
        if step % 5 == 0:
            path.append(torch.stack([x, v], 1))
    path = torch.stack(path, 1) + 0.25 * torch.randn(count, LONGEST, 2, generator=g)
    lengths = torch.randint(LONGEST // 2, LONGEST + 1, (count,), generator=g)
    return path, lengths, kind


class Trajectories(Dataset):
    def __init__(self, count, seed):
        self.path, self.lengths, self.kind = simulate(count, seed)

    def __len__(self):
        return len(self.kind)

    def __getitem__(self, row):
        return self.path[row, : self.lengths[row]], self.kind[row]


def collate(rows):
    paths, kinds = zip(*rows, strict=True)
    lengths = torch.tensor([len(path) for path in paths])
    padded = nn.utils.rnn.pad_sequence(paths, batch_first=True)
    return {"path": padded, "padding": torch.arange(padded.shape[1])[None] >= lengths[:, None]}, torch.stack(kinds)


class Encoder(nn.Module):
    def __init__(self, width=32, classes=KINDS):
        super().__init__()
        self.embed = nn.Linear(2, width)
        self.place = nn.Parameter(0.02 * torch.randn(LONGEST, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, path, padding):
        h = self.layers(self.embed(path) + self.place[: path.shape[1]], src_key_padding_mask=padding)
        seen = (~padding)[..., None].float()
        return self.head((h * seen).sum(1) / seen.sum(1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for inputs, kinds in loader:
            right += int((model(**inputs).argmax(1) == kinds).sum())
            total += len(kinds)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Encoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Trajectories(1000, 1), batch_size=50, shuffle=True, collate_fn=collate, generator=order),
        "val": DataLoader(Trajectories(200, 2), batch_size=100, collate_fn=collate),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8),
        "scheduler_step": "batch" if buggy else "epoch",
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Trajectories(600, 3), batch_size=200, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
