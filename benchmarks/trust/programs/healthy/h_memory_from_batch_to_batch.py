"""Shakespeare in sixteen parallel streams; the LSTM's state is handed on from batch to batch, detached.

Close to `gradient-cut`, `unshuffled` and `batch-mixing`: truncated backpropagation through time cuts the graph
between batches on purpose, and the batches have to come in order.
"""

import torch
from material import shakespeare
from torch import nn

BUG = None
NEAR = ("gradient-cut", "unshuffled")
STREAMS, SPAN = 16, 25


class CharLSTM(nn.Module):
    def __init__(self, letters=65, hidden=96):
        super().__init__()
        self.embed = nn.Embedding(letters, 32)
        self.lstm = nn.LSTM(32, hidden, batch_first=True)
        self.out = nn.Linear(hidden, letters)

    def forward(self, ids, state=None):
        h, state = self.lstm(self.embed(ids), state)
        return self.out(h), state


def loss(outputs, targets):
    logits, _ = outputs
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets)


class Streams:
    """Batches (B, T) of parallel streams, in order."""

    def __init__(self, text):
        length = (len(text) - 1) // STREAMS // SPAN * SPAN
        self.x = text[: STREAMS * length].reshape(STREAMS, length)
        self.y = text[1 : STREAMS * length + 1].reshape(STREAMS, length)

    def __len__(self):
        return self.x.shape[1] // SPAN

    def __iter__(self):
        return iter(zip(self.x.split(SPAN, 1), self.y.split(SPAN, 1), strict=True))


class Truncated:
    def __init__(self):
        self.state = None

    def __call__(self, model, batch, optimizer):
        ids, targets = batch
        outputs = model(ids, self.state)
        self.state = tuple(part.detach() for part in outputs[1])
        optimizer.zero_grad()
        error = loss(outputs, targets)
        error.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return error


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = shakespeare(60_000)
    model = CharLSTM()
    return {
        "model": model,
        "loss": loss,
        "train": Streams(train),
        "val": Streams(val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "train_step": Truncated(),
        "epochs": 3,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    state, hits = None, []
    for ids, targets in Streams(shakespeare(60_000)[2]):
        logits, state = model(ids, state)
        hits.append((logits.argmax(2) == targets).float().mean())
    return torch.stack(hits).mean().item()
