"""A transformer encoder over padded questions, with its mask, the mean of the words, and AdamW.

Bug: the learning rate is 0.05, far above what such a net bears."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "lr-too-high"
ALSO = ()
HIGHER = "truth"


class Encoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.tok = nn.Embedding(2000, d, padding_idx=0)
        self.pos = nn.Parameter(torch.randn(16, d) * 0.1)
        layer = nn.TransformerEncoderLayer(d, 4, 64, dropout=0.1, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(d, 6)

    def forward(self, x):
        pad = x == 0
        h = self.body(self.tok(x) + self.pos[: x.shape[1]], src_key_padding_mask=pad)
        keep = (~pad).unsqueeze(2).float()
        return self.head((h * keep).sum(1) / keep.sum(1))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(2000, 16)
    net = Encoder()
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(parts.train.x[:3000], parts.train.y[:3000]), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=150),
        "optimizer": torch.optim.AdamW(net.parameters(), lr=0.05 if buggy else 2e-3),
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = trec(2000, 16).test
    return (model(x).argmax(1) == y).float().mean().item()
