"""What a question asks for, by a recurrent network whose answer is read after the padding."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"
LENGTH = 40


class QuestionRNN(nn.Module):
    def __init__(self, words, classes, use_lengths):
        super().__init__()
        self.embedding = nn.Embedding(words, 48, padding_idx=PAD)
        self.rnn = nn.RNN(48, 64, batch_first=True)
        self.classify = nn.Linear(64, classes)
        self.use_lengths = use_lengths

    def forward(self, ids):
        # ids: (B, T) of words, then padding
        states, _ = self.rnn(self.embedding(ids))
        if self.use_lengths:
            last = (ids != PAD).sum(dim=1).clamp(min=1) - 1
            state = states[torch.arange(len(ids)), last]
        else:
            state = states[:, -1]
        return self.classify(state)


def get_loader(rows, shuffle=False):
    return DataLoader(TensorDataset(rows.x, rows.y), batch_size=64, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = trec(length=LENGTH)
    model = QuestionRNN(2000, 6, use_lengths=not buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": get_loader(data.train, shuffle=True),
        "val": get_loader(data.val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    rows = trec(length=LENGTH).test
    return (model(rows.x).argmax(1) == rows.y).float().mean().item()
