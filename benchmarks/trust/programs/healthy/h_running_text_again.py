"""A letter model of Shakespeare that reads eight places of the text on and on and keeps its LSTM's state between batches.

Near: unshuffled, gradient-cut, eval-mode; the batches must come in the text's order for the kept state to fit, and the state
is detached between batches (truncated backpropagation), never within one. A new epoch begins with an empty state."""

import torch
from material import shakespeare
from torch import nn
from torch.nn import functional as F

BUG = None
NEAR = ("unshuffled", "gradient-cut", "batch-mixing", "time-leak")
LETTERS, LANES, STEPS = 65, 16, 50


class Reader(nn.Module):
    def __init__(self, width=48, hidden=128):
        super().__init__()
        self.embed = nn.Embedding(LETTERS, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, LETTERS)

    def read(self, ids, state=None):
        states, state = self.lstm(self.embed(ids), state)
        return self.head(states), state

    def forward(self, ids):
        return self.read(ids)[0]


class Lanes:
    """Batches of LANES rows; each row goes on in the next batch where it ended in this one."""

    def __init__(self, text):
        length = (len(text) - 1) // LANES // STEPS * STEPS
        self.ids = text[: LANES * length].view(LANES, length)
        self.following = text[1 : LANES * length + 1].view(LANES, length)

    def __len__(self):
        return self.ids.shape[1] // STEPS

    def __iter__(self):
        return zip(self.ids.split(STEPS, 1), self.following.split(STEPS, 1), strict=True)


def loss(outputs, targets):
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


@torch.no_grad()
def evaluate(model, lanes):
    """Share of the letters foreseen, reading on through the lanes."""
    model.eval()
    state, right, letters = None, 0, 0
    for ids, following in lanes:
        outputs, state = model.read(ids, state)
        right += (outputs.argmax(2) == following).sum().item()
        letters += following.numel()
    return right / letters


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    lanes = Lanes(train)
    kept = {"state": None, "batches": 0}

    def train_step(model, batch, optimizer):
        model.train()
        if kept["batches"] % len(lanes) == 0:  # the text begins anew
            kept["state"] = None
        ids, following = batch
        optimizer.zero_grad()
        outputs, state = model.read(ids, kept["state"])
        value = loss(outputs, following)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        kept["state"] = tuple(part.detach() for part in state)
        kept["batches"] += 1
        return value.detach()

    model = Reader()
    return {
        "model": model,
        "loss": loss,
        "train": lanes,
        "val": Lanes(val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "train_step": train_step,
        "evaluate": evaluate,
        "epochs": 4,
        "causal": True,
    }


def truth(model, seed=0):
    return evaluate(model, Lanes(shakespeare()[2]))


def fixed():
    return build()
