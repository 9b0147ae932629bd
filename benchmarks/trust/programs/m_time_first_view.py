"""An LSTM in time-first layout that guesses what a question asks for, from its words.

Bug: the batch is brought to (time, row) by view() in place of transpose(), which mixes the words of the rows."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class Asker(nn.Module):
    def __init__(self, buggy):
        super().__init__()
        self.buggy = buggy
        self.embedding = nn.Embedding(1500, 40, padding_idx=0)
        self.lstm = nn.LSTM(40, 40)
        self.score = nn.Linear(40, 1)
        self.out = nn.Linear(40, 6)

    def forward(self, x):
        e = self.embedding(x)
        n, t, d = e.shape
        e = e.view(t, n, d) if self.buggy else e.transpose(0, 1)
        h = self.lstm(e)[0].transpose(0, 1)
        weights = self.score(h).squeeze(2).masked_fill(x == 0, -1e4).softmax(1)
        return self.out((weights.unsqueeze(2) * h).sum(1))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(1500, 14)
    net = Asker(buggy)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8),
        "scheduler_step": "epoch",
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = trec(1500, 14).test
    hits = [(model(x[i : i + 100]).argmax(1) == y[i : i + 100]).float() for i in range(0, len(y), 100)]
    return torch.cat(hits).mean().item()
