"""A recurrent cell reads the rows of a handwritten digit from top to bottom, with a loop of its own.

Bug: the hidden state is detached inside the loop over time, where it was meant between chunks."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class RowReader(nn.Module):
    def __init__(self, buggy, hidden=64):
        super().__init__()
        self.buggy, self.hidden = buggy, hidden
        self.cell = nn.GRUCell(14, hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, x):
        h = x.new_zeros(len(x), self.hidden)
        for row in x.unbind(1):
            if self.buggy:
                h = h.detach()
            h = self.cell(row, h)
        return self.head(h)


def step(model, batch, optimizer):
    model.train()
    x, y = batch
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return right / len(loader.dataset)


def rows(part):
    x = F.avg_pool2d(part.x.float() / 255, 2)
    return TensorDataset((x - 0.13) / 0.28, part.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 300, 800)
    net = RowReader(buggy)
    return {
        "model": net,
        "loss": F.cross_entropy,
        "train": DataLoader(rows(parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(rows(parts.val), batch_size=250),
        "optimizer": torch.optim.Adam(net.parameters(), lr=4e-3),
        "train_step": step,
        "evaluate": evaluate,
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return evaluate(model, DataLoader(rows(mnist(2000, 300, 800).test), batch_size=500))
