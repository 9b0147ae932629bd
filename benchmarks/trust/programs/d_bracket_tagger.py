"""Tags each token of a nested expression with the kind of bracket that is open there; batches hold one length each.

Bug: the report means the batches' accuracies, so that a handful of short expressions counts as much as 64 long ones.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"
KINDS, LEAF = 8, 0  # token 0 is a leaf, 1..8 open, 9..16 close; tags 0 (top level) and 1..8
SHORT, LONG, BATCH = 4, 35, 64


def expression(length, g):
    tokens, tags, stack = [], [], []
    for place in range(length):
        draw = torch.rand(1, generator=g).item()
        if draw < 0.42 and length - place > len(stack) + 1:
            kind = int(torch.randint(1, KINDS + 1, (1,), generator=g))
            stack.append(kind)
            tokens.append(kind)
        elif draw < 0.78 and stack:
            tokens.append(KINDS + stack.pop())
        else:
            tokens.append(LEAF)
        tags.append(stack[-1] if stack else 0)
    return torch.tensor(tokens), torch.tensor(tags)


class Expressions(Dataset):
    """Lengths as in the logs: most expressions are long, a few are not."""

    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        skew = torch.rand(count, generator=g) ** 0.25
        lengths = (SHORT + (LONG - SHORT + 1) * skew).long().clamp(max=LONG)
        self.rows = [expression(length, g) for length in lengths.tolist()]
        self.lengths = lengths

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


class SameLength:
    """A batch sampler: every batch holds expressions of one length, so that nothing is padded."""

    def __init__(self, lengths, shuffle=False, seed=0):
        self.groups = [(lengths == length).nonzero().flatten() for length in lengths.unique()]
        self.shuffle, self.generator = shuffle, torch.Generator().manual_seed(seed)

    def __len__(self):
        return sum(-(-len(group) // BATCH) for group in self.groups)

    def __iter__(self):
        batches = []
        for group in self.groups:
            if self.shuffle:
                group = group[torch.randperm(len(group), generator=self.generator)]
            batches += [part.tolist() for part in group.split(BATCH)]
        places = torch.randperm(len(batches), generator=self.generator) if self.shuffle else range(len(batches))
        return iter([batches[int(place)] for place in places])


class Tagger(nn.Module):
    def __init__(self, dim=24, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(2 * KINDS + 1, dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True)
        self.out = nn.Linear(hidden, KINDS + 1)

    def forward(self, tokens):
        return self.out(self.lstm(self.embed(tokens))[0])


def loss(logits, tags):
    return nn.functional.cross_entropy(logits.flatten(0, 1), tags.flatten())


@torch.no_grad()
def token_accuracy(model, loader):
    model.eval()
    right = total = 0
    for tokens, tags in loader:
        hits = model(tokens).argmax(-1) == tags
        right, total = right + hits.sum().item(), total + hits.numel()
    return right / total


@torch.no_grad()
def mean_batch_accuracy(model, loader):
    model.eval()
    found = []
    for tokens, tags in loader:
        hits = model(tokens).argmax(-1) == tags
        found.append(hits.float().mean().item())
    return sum(found) / len(found)


def build(buggy, seed=0):
    known, held = Expressions(1600, 1), Expressions(500, 2)
    torch.manual_seed(seed)
    model = Tagger()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(known, batch_sampler=SameLength(known.lengths, shuffle=True, seed=seed)),
        "val": DataLoader(held, batch_sampler=SameLength(held.lengths)),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": mean_batch_accuracy if buggy else token_accuracy,
        "epochs": 10,
        "causal": True,
    }


def truth(model, seed=0):
    test = Expressions(800, 3)
    return token_accuracy(model, DataLoader(test, batch_sampler=SameLength(test.lengths)))


def setup():
    return build(True)


def fixed():
    return build(False)
