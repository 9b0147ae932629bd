"""A GRU reads questions padded to 40 words and says what they ask for, from its last state.

Bug: the state is taken at the last column, behind all the padding, not at the last word."""

import torch
from material import SHARED, encode, vocabulary
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


def read(name):
    rows = []
    for line in (SHARED / "trec" / name).read_text("latin-1").splitlines():
        label, text = line.split(" ", 1)
        rows.append((text.lower().split(), label.split(":")[0]))
    return rows


def load():
    rows, test = read("train_5500.label"), read("TREC_10.label")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(4)).tolist()
    rows = [rows[i] for i in order]
    names = sorted({y for _, y in rows})
    ids = vocabulary([w for w, _ in rows[:4000]], 2000)
    out = []
    for part in (rows[:4000], rows[4000:4800], test):
        x = encode([w for w, _ in part], ids, 40)
        lengths = (x > 0).sum(1).clamp(min=1)
        out.append((x, lengths, torch.tensor([names.index(y) for _, y in part])))
    return out


class Reader(nn.Module):
    def __init__(self, buggy):
        super().__init__()
        self.buggy = buggy
        self.emb = nn.Embedding(2000, 40)
        self.gru = nn.GRU(40, 56, batch_first=True)
        self.out = nn.Linear(56, 6)

    def forward(self, x, lengths):
        states, last = self.gru(self.emb(x))
        if self.buggy:
            return self.out(last[0])
        return self.out(states[torch.arange(len(x)), lengths - 1])


def collate(rows):
    x, lengths, y = zip(*rows, strict=False)
    return (torch.stack(x), torch.stack(lengths)), torch.stack(y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = load()
    net = Reader(buggy)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=50, shuffle=True, collate_fn=collate),
        "val": DataLoader(TensorDataset(*val), batch_size=200, collate_fn=collate),
        "optimizer": torch.optim.Adam(net.parameters(), lr=1.5e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, lengths, y = load()[2]
    return (model(x, lengths).argmax(1) == y).float().mean().item()
