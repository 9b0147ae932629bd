"""Questions by a small transformer; the groups with and without decay are made by name and forget whole modules."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"


class Transformer(nn.Module):
    def __init__(self, vocab=2000, width=16, length=16):
        super().__init__()
        self.embeddings = nn.Embedding(vocab, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        nn.init.normal_(self.embeddings.weight, std=0.05)
        layer = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 6)

    def forward(self, ids):
        pad = ids == PAD
        h = self.encoder(self.embeddings(ids) + self.positions, src_key_padding_mask=pad)
        h = h.masked_fill(pad.unsqueeze(-1), 0).sum(1) / (~pad).sum(1, keepdim=True)
        return self.classifier(h)


def param_groups(model, forgetful):
    decay, plain = [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder", "classifier")) and name.endswith("weight") and "norm" not in name:
            decay.append(parameter)
        elif name.endswith("bias") or "norm" in name or not forgetful:
            plain.append(parameter)
    return [{"params": decay, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]


def nonempty(rows):
    some = (rows.x != PAD).any(1)
    return TensorDataset(rows.x[some], rows.y[some])


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = (nonempty(rows) for rows in trec())
    model = Transformer()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=200),
        "optimizer": torch.optim.AdamW(param_groups(model, forgetful=buggy), lr=5e-3),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    ids, kinds = nonempty(trec().test).tensors
    return (model(ids).argmax(1) == kinds).float().mean().item()
