"""Next character of Shakespeare by a GRU that reads 32 streams of text in order and keeps its state between batches.

Near: batches are not shuffled, since each goes on where the last one stopped; the state is detached between them
(truncated backpropagation through time); gradients are clipped."""

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("unshuffled", "gradient-cut", "stale-gradients", "loss-clipped")

LETTERS, STREAMS, STEPS = 65, 32, 40


class Streams:
    """The text cut into STREAMS long pieces, handed out STEPS characters at a time; `fresh` at an epoch's begin."""

    def __init__(self, text):
        pieces = text[: (len(text) - 1) // STREAMS * STREAMS].view(STREAMS, -1)
        following = text[1 : pieces.numel() + 1].view(STREAMS, -1)
        self.batches = list(zip(pieces.split(STEPS, 1), following.split(STEPS, 1), strict=True))
        self.fresh = True

    def __iter__(self):
        self.fresh = True
        yield from self.batches

    def __len__(self):
        return len(self.batches)


class Reader(nn.Module):
    def __init__(self, width=128):
        super().__init__()
        self.letters = nn.Embedding(LETTERS, 48)
        self.gru = nn.GRU(48, width, batch_first=True)
        self.out = nn.Linear(width, LETTERS)

    def read(self, ids, state=None):
        states, state = self.gru(self.letters(ids), state)
        return self.out(states), state

    def forward(self, ids):
        return self.read(ids)[0]


def next_letter_loss(logits, ids):
    return nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())


def stateful_step(streams):
    state = None

    def step(model, batch, optimizer):
        nonlocal state
        if streams.fresh:
            state, streams.fresh = None, False
        model.train()
        ids, following = batch
        logits, state = model.read(ids, state)
        state = state.detach()
        loss = next_letter_loss(logits, following)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    return step


def accuracy(model, loader):
    model.eval()
    right = asked = 0
    with torch.no_grad():
        for ids, following in loader:
            right += (model(ids).argmax(-1) == following).sum().item()
            asked += following.numel()
    return right / asked


def passages(text, length=400):
    count = (len(text) - 1) // length
    return DataLoader(
        TensorDataset(text[: count * length].view(count, length), text[1 : count * length + 1].view(count, length)), 25
    )


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    streams, model = Streams(train), Reader()
    return {
        "model": model,
        "loss": next_letter_loss,
        "train": streams,
        "val": passages(val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "train_step": stateful_step(streams),
        "evaluate": accuracy,
        "epochs": 6,
        "causal": True,
    }


def truth(model, seed=0):
    return accuracy(model, passages(shakespeare()[2]))


def fixed():
    return build()
