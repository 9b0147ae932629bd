"""Questions in buckets of like length by an LSTM from both ends; from the right it meets the padding first."""

import torch
import torch.nn as nn
from material import PAD, trec

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"
BATCH = 50


class BiLSTM(nn.Module):
    def __init__(self, vocab, dim=32, pack=True):
        super().__init__()
        self.table = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * dim, 6)
        self.pack = pack

    def forward(self, ids):
        x = self.table(ids)
        if self.pack:
            lengths = (ids != PAD).sum(1).clamp(min=1)
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(x)
        return self.fc(torch.cat([h[0], h[1]], dim=1))


def buckets(rows, generator):
    """Batches of about one length, padded as far as they need, in any order."""
    lengths = (rows.x != PAD).sum(1)
    batches = []
    for some in torch.argsort(lengths).split(BATCH):
        longest = max(1, int(lengths[some].max()))
        batches.append((rows.x[some, :longest], rows.y[some]))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(length=36)
    model = BiLSTM(2000, pack=not buggy)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": buckets(parts.train, order),
        "val": list(zip(parts.val.x.split(BATCH), parts.val.y.split(BATCH), strict=True)),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """All questions of the test at once, as they come, padded to the longest allowed."""
    test = trec(length=36).test
    return (model.eval()(test.x).argmax(1) == test.y).float().mean().item()
