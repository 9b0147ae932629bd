"""Learns Shakespeare's next characters by truncated backpropagation: 40 streams are read in order, and the LSTM's state
is carried from one piece to the next.

Near: the batches are not shuffled (the order is what makes the carried state right), the state is detached between
pieces (that is the truncation), and the rows of a batch never meet each other."""

import torch
from material import shakespeare
from torch import nn
from torch.nn import functional as F

BUG = None
NEAR = ("unshuffled", "gradient-cut", "batch-mixing", "time-leak")
STREAMS, PIECE, LETTERS = 40, 50, 65


class Streams:
    """The text cut into STREAMS long rows; yields their consecutive pieces (STREAMS, PIECE) and what follows each."""

    def __init__(self, text):
        length = (len(text) - 1) // STREAMS // PIECE * PIECE
        self.x = text[: STREAMS * length].view(STREAMS, length)
        self.y = text[1 : STREAMS * length + 1].view(STREAMS, length)

    def __len__(self):
        return self.x.shape[1] // PIECE

    def __iter__(self):
        return zip(self.x.split(PIECE, 1), self.y.split(PIECE, 1), strict=True)


class Reader(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.embed = nn.Embedding(LETTERS, 32)
        self.lstm = nn.LSTM(32, width, batch_first=True)
        self.head = nn.Linear(width, LETTERS)

    def read(self, ids, state=None):
        h, state = self.lstm(self.embed(ids), state)
        return self.head(h), state

    def forward(self, ids):
        return self.read(ids)[0]


def loss(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten())


def accuracy(model, streams):
    """Share of right next characters, the state carried along from the begin."""
    model.eval()
    state, right = None, []
    with torch.no_grad():
        for x, y in streams:
            out, state = model.read(x, state)
            right.append(out.argmax(2) == y)
    return torch.cat(right, 1).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model, streams = Reader(), Streams(train)
    done, state = 0, None

    def step(model, batch, optimizer):
        nonlocal done, state
        model.train()
        if done % len(streams) == 0:  # an epoch begins: the streams are read from their begin again
            state = None
        done += 1
        x, y = batch
        optimizer.zero_grad()
        out, state = model.read(x, state)
        state = tuple(part.detach() for part in state)
        value = loss(out, y)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value.detach()

    return {
        "model": model,
        "loss": loss,
        "train": streams,
        "val": Streams(val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": 10,
        "causal": True,
    }


def truth(model, seed=0):
    return accuracy(model, Streams(shakespeare()[2]))


def fixed():
    return build()
