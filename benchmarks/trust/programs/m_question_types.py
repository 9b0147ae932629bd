"""What does a question ask for? A small pre-norm Transformer on TREC, AdamW with decay for matrices alone.

Bug: the parameter groups are collected by layer type, Linear and LayerNorm, which forgets both embeddings."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ("frozen-parameters",)
HIGHER = "truth"

WORDS, LENGTH, CLASSES = 2000, 16, 6


class Attention(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, real):
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None], dropout_p=rate)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.first, self.attention = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.second = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def forward(self, x, real):
        x = x + self.attention(self.first(x), real)
        return x + self.feed(self.second(x))


class QuestionReader(nn.Module):
    def __init__(self, width=48, dropout=0.2):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(LENGTH, width)
        nn.init.normal_(self.words.weight, std=0.1)
        nn.init.normal_(self.places.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, 4, dropout) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, ids):
        real = ids != PAD
        x = self.drop(self.words(ids) + self.places.weight[: ids.shape[1]])
        for block in self.blocks:
            x = block(x, real)
        weight = real[..., None].float()
        return self.head((self.norm(x) * weight).sum(1) / weight.sum(1))


def decayed_groups(model, embeddings):
    """Matrices of linear layers decay; biases, norms and embeddings do not."""
    decayed, spared = [], []
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            decayed.append(layer.weight)
            spared.append(layer.bias)
        elif isinstance(layer, nn.LayerNorm):
            spared += layer.parameters()
        elif embeddings and isinstance(layer, nn.Embedding):
            spared.append(layer.weight)
    return [{"params": decayed, "weight_decay": 0.05}, {"params": spared, "weight_decay": 0.0}]


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(WORDS, LENGTH)
    model = QuestionReader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(*parts.train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*parts.val), 263),
        "optimizer": torch.optim.AdamW(decayed_groups(model, embeddings=not buggy), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 7,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*trec(WORDS, LENGTH).test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
