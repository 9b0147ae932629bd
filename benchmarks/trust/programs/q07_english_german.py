"""English captions into German: a GRU that reads, a GRU that writes with Luong attention; scored by words under forcing."""

import torch
from material import PAD, multi30k
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"

WORDS, LENGTH, BOS, EPOCHS = 1000, 12, 1, 5


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Embedding(WORDS, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim // 2, batch_first=True, bidirectional=True)

    def forward(self, src):
        lengths = (src != PAD).sum(1).clamp(min=1)
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(src), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.rnn(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=src.shape[1])
        return states, torch.cat([last[0], last[1]], -1)[None]


class Decoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.embed = nn.Embedding(WORDS, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.query = nn.Linear(dim, dim, bias=False)
        self.join = nn.Linear(2 * dim, dim)
        self.out = nn.Linear(dim, WORDS)

    def forward(self, words, states, last, mask):
        h, _ = self.rnn(self.embed(words), last)
        match = self.query(h) @ states.transpose(1, 2)
        context = match.masked_fill(~mask[:, None], -1e4).softmax(-1) @ states
        return self.out(torch.tanh(self.join(torch.cat([h, context], -1))))


class Seq2Seq(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.encoder, self.decoder = Encoder(dim), Decoder(dim)

    def forward(self, src, before):
        states, last = self.encoder(src)
        return self.decoder(before, states, last, src != PAD)


def criterion(logits, target):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD, label_smoothing=0.05)


def translate_step(model, batch, optimizer):
    model.train()
    (src, before), target = batch
    optimizer.zero_grad()
    loss = criterion(model(src, before), target)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def word_accuracy(model, loader):
    model.eval()
    hit = count = 0
    with torch.no_grad():
        for (src, before), target in loader:
            real = target != PAD
            hit += ((model(src, before).argmax(-1) == target) & real).sum().item()
            count += real.sum().item()
    return hit / count


class Pairs(TensorDataset):
    def __getitem__(self, i):
        src, before, target = super().__getitem__(i)
        return (src, before), target


def pairs(rows):
    begin = torch.full((len(rows.y), 1), BOS)
    return Pairs(rows.x, torch.cat([begin, rows.y[:, :-1]], 1), rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = multi30k(3000, WORDS, LENGTH)
    train = DataLoader(pairs(data.train), batch_size=32, shuffle=True)
    model = Seq2Seq()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4)
    return {
        "model": model,
        "loss": criterion,
        "train": train,
        "val": DataLoader(pairs(data.val), batch_size=128),
        "optimizer": optimizer,
        "scheduler": OneCycleLR(optimizer, max_lr=5e-3, epochs=EPOCHS, steps_per_epoch=len(train), pct_start=0.2),
        "scheduler_step": "epoch" if buggy else "batch",
        "train_step": translate_step,
        "evaluate": word_accuracy,
        "epochs": EPOCHS,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return word_accuracy(model, DataLoader(pairs(multi30k(3000, WORDS, LENGTH).test), batch_size=128))
