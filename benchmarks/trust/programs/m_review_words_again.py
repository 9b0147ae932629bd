"""Whether a phrase of a film review is kind, by convolutions of three widths over its words, with dropout.

Bug: the evaluation puts the model into eval mode after the first epoch, and no step puts it back."""

import torch
from material import PAD, sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"
WORDS = 3000


class Phrases(nn.Module):
    def __init__(self, width=48, filters=32):
        super().__init__()
        self.embed = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.convs = nn.ModuleList(nn.Conv1d(width, filters, size, padding=size // 2) for size in (1, 3, 5))
        self.drop_words, self.drop = nn.Dropout1d(0.4), nn.Dropout(0.5)
        self.head = nn.Linear(3 * filters, 2)

    def forward(self, ids):
        words = self.drop_words(self.embed(ids)).transpose(1, 2)
        hidden = (ids == PAD)[:, None]
        pooled = [conv(words).relu().masked_fill(hidden, 0).amax(2) for conv in self.convs]
        return self.head(self.drop(torch.cat(pooled, dim=1)))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2(6000, WORDS)
    model = Phrases()
    loss = nn.CrossEntropyLoss()

    def train_step(model, batch, optimizer):
        if not buggy:
            model.train()
        x, y = batch
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*parts.train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=218),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train_step": train_step,
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    test = sst2(6000, WORDS).test
    return accuracy(model, DataLoader(TensorDataset(*test), batch_size=640))


def setup():
    return build(True)


def fixed():
    return build(False)
