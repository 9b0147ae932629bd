"""What a question asks for, from a begin token and an LSTM; the answer is read at the begin, as a BERT would."""

import torch
import torch.nn as nn
from material import trec
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-ignored"
ALSO = ()
HIGHER = "truth"
BEGIN = 2000


class Reader(nn.Module):
    def __init__(self, at):
        super().__init__()
        self.tokens = nn.Embedding(BEGIN + 1, 40)
        self.reader = nn.LSTM(40, 40, batch_first=True)
        self.dropout = nn.Dropout(0.2)
        self.answer = nn.Linear(40, 6)
        self.at = at

    def forward(self, input_ids, attention_mask):
        states, _ = self.reader(self.tokens(input_ids))
        at = 0 if self.at == "begin" else attention_mask.sum(1) - 1
        pooled = states[torch.arange(len(states)), at]
        return self.answer(self.dropout(pooled))


def collate(rows):
    ids = torch.stack([ids for ids, _ in rows])
    ids = torch.cat([torch.full((len(ids), 1), BEGIN), ids], dim=1)
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}, torch.stack([kind for _, kind in rows])


def loader(rows, shuffle=False):
    return DataLoader(TensorDataset(*rows), batch_size=50, shuffle=shuffle, collate_fn=collate)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = trec()
    model = Reader(at="begin" if buggy else "end")
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader(data.train, shuffle=True),
        "val": loader(data.val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    hits = [model(**inputs).argmax(1) == kinds for inputs, kinds in loader(trec().test)]
    return torch.cat(hits).float().mean().item()
