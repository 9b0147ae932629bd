"""What a question asks for, by an LSTM that reads packed questions from both ends.

Close to `time-leak` and `padding-leak`: an encoder of a whole sentence may look ahead, and packing keeps it off the
padding.
"""

import torch
from material import trec
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak", "padding-leak")


class Reader(nn.Module):
    def __init__(self, words=1500, dim=32, hidden=32):
        super().__init__()
        self.embed = nn.Embedding(words, dim, padding_idx=0)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, 6)

    def forward(self, ids):
        lengths = (ids != 0).sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(self.embed(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        return self.out(torch.cat([last[0], last[1]], 1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec(words=1500)
    model = Reader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train.x[:2400], train.y[:2400]), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, val.y), batch_size=263),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 4,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec(words=1500).test
    return (model.eval()(x).argmax(1) == y).float().mean().item()
