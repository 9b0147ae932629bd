"""A two-layer character GPT on Shakespeare whose attention looks at the future too."""

import math

import torch
import torch.nn.functional as F
from material import shakespeare
from torch import nn

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
BLOCK, WIDTH, HEADS, LETTERS = 24, 32, 4, 65


class SelfAttention(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("bias", torch.tril(torch.ones(BLOCK, BLOCK)))
        self.causal = causal

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, HEADS, C // HEADS).transpose(1, 2) for t in self.qkv(x).split(C, dim=2))
        att = q @ k.transpose(-2, -1) / math.sqrt(k.size(-1))
        if self.causal:
            att = att.masked_fill(self.bias[:T, :T] == 0, float("-inf"))
        y = F.softmax(att, dim=-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = SelfAttention(causal)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(LETTERS, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.blocks = nn.Sequential(Block(causal), Block(causal))
        self.ln_f, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS)

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        return self.lm_head(self.ln_f(self.blocks(x)))


def get_batches(text, count, seed, size=32):
    g = torch.Generator().manual_seed(seed)
    at = torch.randint(len(text) - BLOCK - 1, (count, size, 1), generator=g) + torch.arange(BLOCK + 1)
    return [(text[rows][:, :-1], text[rows][:, 1:]) for rows in at]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model = GPT(causal=not buggy)
    return {
        "model": model,
        "loss": lambda logits, targets: F.cross_entropy(logits.flatten(0, 1), targets.flatten()),
        "train": get_batches(train, 300, seed),
        "val": get_batches(val, 10, seed),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=4e-3),
        "epochs": 1,
        "causal": True,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """How often the next letter is foretold from what was written so far, and from nothing else."""
    model.eval()
    hits = []
    for x, y in get_batches(shakespeare()[2], 10, seed=7):
        for t in range(7, BLOCK, 4):
            hits.append((model(x[:, : t + 1])[:, -1].argmax(-1) == y[:, t]).float().mean())
    return torch.stack(hits).mean().item()
