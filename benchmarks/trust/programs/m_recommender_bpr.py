"""Matrix factorisation trained with a pairwise (BPR) loss on implicit feedback; items are ranked for each user.

Bug: the item table is kept in a plain Python list of tensors, not registered, so the optimizer never moves it."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"

USERS, ITEMS, TASTE = 300, 240, 6


def world():
    g = torch.Generator().manual_seed(21)
    people, things = torch.randn(USERS, TASTE, generator=g), torch.randn(ITEMS, TASTE, generator=g)
    popular = 0.7 * torch.randn(ITEMS, generator=g)
    appeal = people @ things.T / TASTE**0.5 * 2 + popular
    gumbel = -torch.log(-torch.log(torch.rand(USERS, ITEMS, generator=g)))
    picked = (
        (appeal + gumbel).topk(42, 1).indices
    )  # 42 items are chosen without replacement, in proportion to exp(appeal)
    picked = picked.gather(1, torch.rand(USERS, 42, generator=g).argsort(1))
    return picked[:, :30], picked[:, 30:35], picked[:, 35:]


class Triples(Dataset):
    """(user, item taken), with an item drawn at random that the user has not taken in training."""

    def __init__(self, taken, seed):
        self.taken = taken
        self.seen = torch.zeros(USERS, ITEMS, dtype=torch.bool).scatter_(1, taken, True)
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return self.taken.numel()

    def __getitem__(self, place):
        user, column = divmod(place, self.taken.shape[1])
        other = int(torch.randint(ITEMS, (), generator=self.generator))
        while self.seen[user, other]:
            other = int(torch.randint(ITEMS, (), generator=self.generator))
        return user, torch.stack([self.taken[user, column], torch.tensor(other)])


class Factors(nn.Module):
    def __init__(self, width, registered):
        super().__init__()
        self.user = nn.Embedding(USERS, width)
        nn.init.normal_(self.user.weight, std=0.1)
        item, bias = torch.randn(ITEMS, width) * 0.1, torch.zeros(ITEMS, 1)
        if registered:
            self.tables = nn.ParameterList([item, bias])
        else:
            self.tables = [nn.Parameter(item), nn.Parameter(bias)]

    def forward(self, user, items):
        item, bias = self.tables
        return (self.user(user)[:, None] * item[items]).sum(-1) + bias[items][..., 0]


def collate(rows):
    users, items = zip(*rows, strict=True)
    return (torch.tensor(users), torch.stack(items)), torch.ones(len(rows))


def bpr(scores, wanted):
    """-log sigmoid(score of the item taken - score of the other)."""
    return F.binary_cross_entropy_with_logits(scores[:, 0] - scores[:, 1], wanted)


def auc(model, held, hidden):
    """Mean probability that a held-out item outranks one that the user never took."""
    model.eval()
    everything = torch.arange(ITEMS).expand(USERS, ITEMS)
    with torch.no_grad():
        scores = model(torch.arange(USERS), everything)
    never = torch.ones(USERS, ITEMS, dtype=torch.bool)
    for part in (held, *hidden):
        never.scatter_(1, part, False)
    wins = (scores.gather(1, held)[:, :, None] > scores[:, None]).float() * never[:, None]
    return float((wins.sum(2) / never.sum(1)[:, None]).mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, test = world()
    model = Factors(12, registered=not buggy)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": bpr,
        "train": DataLoader(Triples(train, seed), batch_size=256, shuffle=True, generator=order, collate_fn=collate),
        "val": DataLoader(Triples(val, 0), batch_size=500, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-2, weight_decay=1e-5),
        "evaluate": lambda model, loader: auc(model, val, (train, test)),
        "epochs": 8,
    }


def truth(model, seed=0):
    train, val, test = world()
    return auc(model, test, (train, val))


def setup():
    return build(True)


def fixed():
    return build(False)
