"""Fills in masked characters of Shakespeare from both sides, as BERT is pretrained.

Near: outputs look at later positions, which a masked model may (the answer itself is hidden); nearly all targets are
-100 and ignored; the masks are drawn anew whenever a batch is put together, and once and for all for validation."""

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak", "label-noise", "target-leak", "train-val-mismatch")

LETTERS, MASK, IGNORED = 65, 65, -100
LENGTH, SHARE = 48, 0.15


def hide(chunks, generator):
    """Four in five of the chosen places are masked, the others show a random letter or the right one."""
    chosen = torch.rand(chunks.shape, generator=generator) < SHARE
    kind = torch.rand(chunks.shape, generator=generator)
    strangers = torch.randint(0, LETTERS, chunks.shape, generator=generator)
    shown = torch.where(chosen & (kind < 0.8), MASK, chunks)
    shown = torch.where(chosen & (kind >= 0.8) & (kind < 0.9), strangers, shown)
    return shown, torch.where(chosen, chunks, IGNORED)


class MaskingCollate:
    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, rows):
        return hide(torch.stack([chunk for (chunk,) in rows]), self.generator)


def chunks(text):
    return text[: len(text) // LENGTH * LENGTH].view(-1, LENGTH)


class Filler(nn.Module):
    """Dilated convolutions to both sides."""

    def __init__(self, width=80):
        super().__init__()
        self.letters = nn.Embedding(LETTERS + 1, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, padding=gap, dilation=gap) for gap in (1, 1, 2, 4, 8))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.layers)
        self.out = nn.Linear(width, LETTERS)

    def forward(self, ids):
        x = self.letters(ids)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + torch.relu(layer(norm(x).transpose(1, 2)).transpose(1, 2))
        return self.out(x)


def masked_loss(logits, targets):
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def masked_accuracy(model, loader):
    model.eval()
    right = asked = 0
    with torch.no_grad():
        for shown, targets in loader:
            counted = targets != IGNORED
            right += (model(shown).argmax(-1) == targets)[counted].sum().item()
            asked += counted.sum().item()
    return right / asked


def once_hidden(text, seed):
    return DataLoader(TensorDataset(*hide(chunks(text), torch.Generator().manual_seed(seed))), 64)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model = Filler()
    loader = DataLoader(
        TensorDataset(chunks(train)),
        32,
        shuffle=True,
        collate_fn=MaskingCollate(seed),
        generator=torch.Generator().manual_seed(seed),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    epochs = 8
    return {
        "model": model,
        "loss": masked_loss,
        "train": loader,
        "val": once_hidden(val, 20),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * len(loader)),
        "scheduler_step": "batch",
        "evaluate": masked_accuracy,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return masked_accuracy(model, once_hidden(shakespeare()[2], 21))


def fixed():
    return build()
