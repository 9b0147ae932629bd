"""A small BERT over Shakespeare's characters: hidden ones are told from both sides; what is not hidden is no target."""

import math

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("time-leak", "target-leak", "label-noise")
V, T, MASK, IGNORE = 65, 48, 65, -100


class Hide:
    """Collate: of 15 % of the places, 80 % are masked, 10 % become any character, 10 % stay (Devlin et al. 2019)."""

    def __init__(self, share=0.15, seed=None):
        self.share, self.seed = share, seed

    def __call__(self, rows):
        ids = torch.stack(rows)
        g = None if self.seed is None else torch.Generator().manual_seed(self.seed)
        chosen = torch.rand(ids.shape, generator=g) < self.share
        kind = torch.rand(ids.shape, generator=g)
        x = ids.clone()
        x[chosen & (kind < 0.8)] = MASK
        swap = chosen & (kind >= 0.9)
        x[swap] = torch.randint(V, ids.shape, generator=g)[swap]
        return x, ids.masked_fill(~chosen, IGNORE)


class Bert(nn.Module):
    def __init__(self, dim=48, heads=4, layers=2):
        super().__init__()
        self.token = nn.Embedding(V + 1, dim)
        place = torch.arange(T)[:, None] * torch.exp(-math.log(1e3) * torch.arange(0, dim, 2) / dim)
        self.register_buffer("place", torch.cat([place.sin(), place.cos()], 1) * 0.5)
        layer = nn.TransformerEncoderLayer(dim, heads, 4 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.local = nn.Conv1d(dim, dim, 5, padding=2)
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.bias = nn.Parameter(torch.zeros(V))

    def forward(self, x):
        e = self.token(x)
        h = e + self.local(e.transpose(1, 2)).transpose(1, 2) + self.place[: x.shape[1]]
        return self.body(h) @ self.token.weight[:V].T / 4 + self.bias


def masked_loss(logits, y):
    return nn.functional.cross_entropy(logits.reshape(-1, V), y.reshape(-1), ignore_index=IGNORE)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = n = 0
    for x, y in loader:
        at = y != IGNORE
        right += (model(x)[at].argmax(-1) == y[at]).sum().item()
        n += at.sum().item()
    return right / n


def chunks(text):
    return list(text[: len(text) // T * T].view(-1, T))


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare(100_000, 8_000, 15_000)
    model = Bert()
    epochs, loader = 8, DataLoader(chunks(train), 32, shuffle=True, collate_fn=Hide())
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    total = epochs * len(loader)
    return {
        "model": model,
        "loss": masked_loss,
        "train": loader,
        "val": DataLoader(chunks(val), 64, collate_fn=Hide(seed=7)),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: min((s + 1) / 50, max(0.02, 1 - s / total))
        ),
        "scheduler_step": "batch",
        "evaluate": accuracy,
        "epochs": epochs,
    }


def fixed():
    return build()


def truth(model, seed=0):
    _, _, test = shakespeare(100_000, 8_000, 15_000)
    return accuracy(model, DataLoader(chunks(test), 64, collate_fn=Hide(seed=8)))
