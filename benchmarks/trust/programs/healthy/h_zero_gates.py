"""What a question asks for, by a small Transformer whose branches start behind gates of zero (ReZero); a learnt token reads the words.

Near: every branch is silent at the start, so in the first step the words do not reach the answer and only the gates, the token and the head get gradients."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "input-ignored", "gradient-cut", "init-scale")


class Branch(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attend = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, x, hidden):
        x = x + self.gates[0] * self.attend(x, x, x, key_padding_mask=hidden, need_weights=False)[0]
        return x + self.gates[1] * self.think(x)


class Reader(nn.Module):
    def __init__(self, words=2000, length=16, width=64, classes=6, depth=2):
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.place = nn.Parameter(0.1 * torch.randn(length, width))
        self.asker = nn.Parameter(torch.randn(1, 1, width))
        self.branches = nn.ModuleList(Branch(width, 4) for _ in range(depth))
        self.head = nn.Linear(width, classes)

    def forward(self, ids):
        x = torch.cat([self.asker.expand(len(ids), -1, -1), self.word(ids) + self.place], 1)
        hidden = nn.functional.pad(ids == 0, (1, 0), value=False)
        for branch in self.branches:
            x = branch(x, hidden)
        return self.head(x[:, 0])


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [model(x).argmax(1) == y for x, y in batches]
    return float(torch.cat(hits).float().mean())


def build(seed=0):
    torch.manual_seed(seed)
    parts = trec()
    model = Reader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=256),
        "evaluate": accuracy,
        "epochs": 5,
    }


def truth(model, seed=0):
    test = trec().test
    return accuracy(model, [(test.x, test.y)])


def fixed():
    return build()
