"""Next letters of Shakespeare by a GRU which reads 32 places of the text side by side and carries its state from chunk to chunk.

Near: chunks come in the text's order, unshuffled, and the carried state is detached: truncated backpropagation through time needs both."""

import torch
from material import shakespeare
from torch import nn

BUG = None
NEAR = ("unshuffled", "gradient-cut", "time-leak", "batch-mixing")


class Streams:
    """Chunks of `length` letters from `count` equal stretches of the text, in order; each pass begins with no memory."""

    def __init__(self, text, count, length):
        size = (len(text) - 1) // count // length * length
        self.x = text[: count * size].view(count, size)
        self.y = text[1 : count * size + 1].view(count, size)
        self.length, self.memory = length, None

    def __len__(self):
        return self.x.shape[1] // self.length

    def __iter__(self):
        self.memory = None
        return iter(list(zip(self.x.split(self.length, 1), self.y.split(self.length, 1), strict=False)))


class Writer(nn.Module):
    def __init__(self, letters=65, width=112):
        super().__init__()
        self.letter = nn.Embedding(letters, 32)
        self.recur = nn.GRU(32, width, batch_first=True)
        self.head = nn.Linear(width, letters)

    def read(self, ids, memory=None):
        states, memory = self.recur(self.letter(ids), memory)
        return self.head(states), memory

    def forward(self, ids):
        return self.read(ids)[0]


def letter_loss(logits, targets):
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def carried(streams):
    def step(model, batch, optimizer):
        ids, targets = batch
        model.train()
        memory = streams.memory
        if memory is not None and memory.shape[1] != len(ids):
            memory = None
        logits, memory = model.read(ids, memory)
        streams.memory = memory.detach()
        loss = letter_loss(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step


def accuracy(model, batches):
    model.eval()
    hits, memory = [], None
    with torch.no_grad():
        for ids, targets in batches:
            logits, memory = model.read(ids, memory)
            hits.append(logits.argmax(2) == targets)
    return float(torch.cat(hits, 1).float().mean())


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model, streams = Writer(), Streams(train, 32, 32)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return {
        "model": model,
        "loss": letter_loss,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8),
        "scheduler_step": "epoch",
        "train_step": carried(streams),
        "train": streams,
        "val": Streams(val, 10, 50),
        "evaluate": accuracy,
        "epochs": 6,
        "causal": True,
    }


def truth(model, seed=0):
    return accuracy(model, Streams(shakespeare()[2], 20, 50))


def fixed():
    return build()
