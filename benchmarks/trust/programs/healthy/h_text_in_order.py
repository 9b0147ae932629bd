"""A model of Shakespeare's letters that reads twenty places of the text on from batch to batch, keeping its state.
Near: unshuffled, split-overlap, target-leak: the batches must come in order, since the state goes on; each target is
the next input."""

import material
import torch
from torch import nn

BUG = None
NEAR = ("unshuffled", "split-overlap", "target-leak")
LANES, STEPS = 20, 40


class Text:
    """LANES places of the text, read on STEPS letters a batch: (letters, is this the begin), next letters."""

    def __init__(self, letters):
        length = (len(letters) - 1) // (LANES * STEPS) * STEPS
        self.x = letters[: LANES * length].view(LANES, length)
        self.y = letters[1 : LANES * length + 1].view(LANES, length)

    def __len__(self):
        return self.x.shape[1] // STEPS

    def __iter__(self):
        for k in range(len(self)):
            part = slice(k * STEPS, (k + 1) * STEPS)
            yield (self.x[:, part], k == 0), self.y[:, part]


class Letters(nn.Module):
    def __init__(self, size=96):
        super().__init__()
        self.embed, self.gru, self.head = nn.Embedding(65, 32), nn.GRU(32, size, batch_first=True), nn.Linear(size, 65)
        self.state = None

    def forward(self, x, begin=True):
        state = None if begin or self.state is None or self.state.shape[1] != len(x) else self.state
        out, state = self.gru(self.embed(x), state)
        self.state = state.detach()
        return self.head(out)


def loss(out, y):
    return nn.functional.cross_entropy(out.flatten(0, 1), y.flatten())


@torch.no_grad()
def evaluate(model, loader):
    """Share of next letters guessed."""
    model.eval()
    return torch.cat([(model(*x).argmax(-1) == y).float().flatten() for x, y in loader]).mean().item()


def step(model, batch, optimizer):
    x, y = batch
    optimizer.zero_grad()
    found = loss(model(*x), y)
    found.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return found


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = material.shakespeare()
    model = Letters()
    return {
        "model": model,
        "loss": loss,
        "train": Text(train),
        "val": Text(val),
        "train_step": step,
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "evaluate": evaluate,
        "epochs": 4,
        "causal": True,
    }


def truth(model, seed=0):
    return evaluate(model, Text(material.shakespeare()[2]))


def fixed():
    return build()
