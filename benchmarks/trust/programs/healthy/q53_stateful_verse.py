"""Characters of Shakespeare by an LSTM that reads 16 streams in order and carries its state on (truncated back-propagation)."""

import torch
from material import shakespeare
from torch import nn
from torch.nn.functional import cross_entropy

BUG = None
NEAR = ("unshuffled", "gradient-cut", "lr-too-high")
VOCAB, STREAMS, BPTT = 65, 16, 40


class Streams:
    """Batch k goes on where batch k - 1 ended, row by row; never shuffled."""

    def __init__(self, text, streams, length):
        n = (len(text) - 1) // streams
        self.x = text[: n * streams].view(streams, n)
        self.y = text[1 : n * streams + 1].view(streams, n)
        self.length = length

    def __len__(self):
        return self.x.shape[1] // self.length

    def __iter__(self):
        for k in range(len(self)):
            at = slice(k * self.length, (k + 1) * self.length)
            yield self.x[:, at], self.y[:, at]


class CharLSTM(nn.Module):
    def __init__(self, dim=32, hidden=128):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(hidden, VOCAB)

    def run(self, x, state=None):
        h, state = self.lstm(self.embed(x), state)
        return self.out(self.drop(h)), state

    def forward(self, x):
        return self.run(x)[0]


def loss(logits, y):
    return cross_entropy(logits.transpose(1, 2), y)


class CarriedStep:
    def __init__(self, batches):
        self.batches, self.seen, self.state = batches, 0, None

    def __call__(self, model, batch, optimizer):
        model.train()
        x, y = batch
        if self.seen % self.batches == 0 or self.state[0].shape[1] != len(x):
            self.state = None
        logits, state = model.run(x, self.state)
        self.state = tuple(s.detach() for s in state)
        self.seen += 1
        value = loss(logits, y)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        return value.detach()


@torch.no_grad()
def accuracy(model, streams):
    model.eval()
    state, right, n = None, 0, 0
    for x, y in streams:
        if state is not None and state[0].shape[1] != len(x):
            state = None
        logits, state = model.run(x, state)
        right += (logits.argmax(-1) == y).sum().item()
        n += y.numel()
    return right / n


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare(100_000, 10_000, 20_000)
    batches = Streams(train, STREAMS, BPTT)
    model = CharLSTM()
    return {
        "model": model,
        "loss": loss,
        "train": batches,
        "val": Streams(val, 4, BPTT),
        "optimizer": torch.optim.Adam(model.parameters(), lr=6e-3),
        "train_step": CarriedStep(len(batches)),
        "evaluate": accuracy,
        "causal": True,
        "epochs": 6,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return accuracy(model, Streams(shakespeare(100_000, 10_000, 20_000)[2], 4, BPTT))
