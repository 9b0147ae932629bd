"""Takes clicks and hiss out of recorded tunes with a bidirectional GRU, which says what to subtract.

Near: it sees the sound after each place, rightly, for the recordings are whole; the target lies in the input, as its clean part;
the last layer begins at zero, so that nothing is subtracted at first."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak", "target-leak", "constant-init", "dead-units", "gradient-cut", "loss-input")
LENGTH = 96


def tunes(count, seed):
    """Sums of three decaying tones at 2 kHz; (N, 96, 1) with noise, and without."""
    g = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH) / 2000
    pitch = 60 + 240 * torch.rand(count, 3, 1, generator=g)
    phase = 6.28 * torch.rand(count, 3, 1, generator=g)
    decay = 5 + 20 * torch.rand(count, 3, 1, generator=g)
    loud = 0.4 + 0.6 * torch.rand(count, 3, 1, generator=g)
    clean = (loud * torch.exp(-decay * time) * torch.sin(6.28 * pitch * time + phase)).sum(1)
    clicks = (torch.rand(clean.shape, generator=g) < 0.06) * 1.5 * torch.randn(clean.shape, generator=g)
    noisy = clean + clicks + 0.1 * torch.randn(clean.shape, generator=g)
    return TensorDataset(noisy[..., None], clean[..., None])


class Unclick(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.near = nn.Conv1d(1, 16, 7, padding=3)
        self.memory = nn.GRU(17, width, batch_first=True, bidirectional=True)
        self.noise = nn.Linear(2 * width, 1)
        nn.init.zeros_(self.noise.weight)
        nn.init.zeros_(self.noise.bias)

    def forward(self, sound):
        near = torch.relu(self.near(sound.transpose(1, 2))).transpose(1, 2)
        states, _ = self.memory(torch.cat([sound, near], 2))
        return sound - self.noise(states)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    guess, y = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return (1 - ((guess - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Unclick()
    train = DataLoader(tunes(1500, 1), 32, shuffle=True, generator=torch.Generator().manual_seed(seed))
    epochs = 6
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def train_step(model, batch, optimizer):
        model.train()
        optimizer.zero_grad()
        loss = nn.functional.l1_loss(model(batch[0]), batch[1])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss

    return {
        "model": model,
        "loss": nn.L1Loss(),
        "train": train,
        "val": DataLoader(tunes(300, 2), 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, epochs * len(train)),
        "scheduler_step": "batch",
        "train_step": train_step,
        "evaluate": r2,
        "epochs": epochs,
        "causal": False,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(tunes(600, 3), 100))


def fixed():
    return build()
