"""Finds the word breaks in Shakespeare's phrases written without spaces; batches hold phrases of about one length.

Bug: the validation sampler drops the incomplete batch of each length, so that the rare long phrases, hardest to get
wholly right, are never counted."""

import random
import re
from functools import cache

import torch
from material import SHARED
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"

BATCH, STRIDE = 64, 5
PAD, IGNORED = 0, -100


@cache
def phrases():
    """Phrases of 2 to 9 words, lower case, shuffled once, none twice."""
    text = (SHARED / "tinyshakespeare" / "input.txt").read_text("ascii").lower().replace("'", "")
    found = {" ".join(part.split()) for part in re.split(r"[^a-z ]+", text)}
    kept = sorted(phrase for phrase in found if 2 <= len(phrase.split()) <= 9 and len(phrase) <= 40)
    random.Random(0).shuffle(kept)
    return kept


class Phrases(Dataset):
    """Letters 1..26 and for each whether a word ends with it."""

    def __init__(self, begin, end):
        self.rows = []
        for phrase in phrases()[begin:end]:
            letters = torch.tensor([ord(c) - 96 for c in phrase if c != " "])
            ends = torch.cat([torch.tensor([0] * (len(word) - 1) + [1]) for word in phrase.split()])
            self.rows.append((letters, ends))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class BucketSampler:
    """Batches of rows whose lengths lie in one bucket of STRIDE letters."""

    def __init__(self, lengths, shuffle, drop_last, seed=0):
        self.shuffle, self.drop_last, self.rng = shuffle, drop_last, random.Random(seed)
        self.buckets = {}
        for row, length in enumerate(lengths):
            self.buckets.setdefault(length // STRIDE, []).append(row)

    def batches(self):
        for _, rows in sorted(self.buckets.items()):
            if self.shuffle:
                rows = self.rng.sample(rows, len(rows))
            yield from BatchSampler(rows, BATCH, self.drop_last)

    def __iter__(self):
        batches = list(self.batches())
        if self.shuffle:
            self.rng.shuffle(batches)
        return iter(batches)

    def __len__(self):
        rest = 0 if self.drop_last else BATCH - 1
        return sum((len(rows) + rest) // BATCH for rows in self.buckets.values())


def collate(rows):
    letters, ends = zip(*rows, strict=True)
    pad = nn.utils.rnn.pad_sequence
    return pad(letters, batch_first=True, padding_value=PAD), pad(ends, batch_first=True, padding_value=IGNORED)


def loader(rows, shuffle, drop_last, seed=0):
    lengths = [len(letters) for letters, _ in rows]
    return DataLoader(rows, batch_sampler=BucketSampler(lengths, shuffle, drop_last, seed), collate_fn=collate)


class BreakFinder(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.letters = nn.Embedding(27, 24, padding_idx=PAD)
        self.gru = nn.GRU(24, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 2)

    def forward(self, letters):
        lengths = (letters != PAD).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(self.letters(letters), lengths, True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], True, total_length=letters.shape[1])
        return self.out(states)


def tag_loss(logits, ends):
    return nn.functional.cross_entropy(logits.flatten(0, 1), ends.flatten(), ignore_index=IGNORED)


def phrases_right(model, batches):
    """Share of phrases with every break right."""
    model.eval()
    right = []
    with torch.no_grad():
        for letters, ends in batches:
            right.append(((model(letters).argmax(-1) == ends) | (ends == IGNORED)).all(1).float())
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = BreakFinder()
    return {
        "model": model,
        "loss": tag_loss,
        "train": loader(Phrases(0, 5500), shuffle=True, drop_last=False, seed=seed),
        "val": loader(Phrases(5500, 6000), shuffle=False, drop_last=buggy),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": phrases_right,
        "epochs": 7,
    }


def truth(model, seed=0):
    return phrases_right(model, loader(Phrases(6000, 8000), shuffle=False, drop_last=False))


def setup():
    return build(True)


def fixed():
    return build(False)
