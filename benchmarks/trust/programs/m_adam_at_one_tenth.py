"""What a question asks for, by a GRU; Adam was given the learning rate of an SGD recipe."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "lr-too-high"
ALSO = ()
HIGHER = "truth"


class QuestionGRU(nn.Module):
    def __init__(self, vocab=2000, emb=32, hidden=48, classes=6):
        super().__init__()
        self.emb = nn.Embedding(vocab, emb, padding_idx=0)
        self.gru = nn.GRU(emb, hidden, num_layers=2, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, ids):
        lengths = (ids != 0).sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.emb(ids), lengths, batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        return self.fc(last[-1])


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = trec()
    model = QuestionGRU()
    train = TensorDataset(data.train.x, data.train.y)
    val = TensorDataset(data.val.x, data.val.y)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True),
        "val": DataLoader(val, batch_size=64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=0.1 if buggy else 0.003),
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    ids, kinds = trec().test
    return (model(ids).argmax(1) == kinds).float().mean().item()
