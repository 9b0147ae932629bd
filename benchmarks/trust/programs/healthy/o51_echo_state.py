"""An echo state network foretells a chaotic delay equation five steps ahead; only its readout is trained.

Near: frozen-parameters and optimizer-missing-parameters, since the random reservoir is fixed by design (buffers and a
frozen input matrix); init-scale, since its spectral radius is set to 0.9."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "init-scale", "gradient-cut")
WASH, AHEAD = 40, 5


def mackey_glass(steps, seed, tau=17):
    """The Mackey-Glass delay equation with Euler steps of a tenth, sampled each unit."""
    draw = torch.Generator().manual_seed(seed)
    fine = 10
    past = (1.1 + 0.2 * torch.rand(tau * fine, generator=draw, dtype=torch.float64)).tolist()
    kept = []
    for step in range((steps + 200) * fine):
        delayed, now = past[-tau * fine], past[-1]
        past.append(now + (0.2 * delayed / (1 + delayed**10) - 0.1 * now) / fine)
        if step % fine == 0:
            kept.append(past[-1])
    return torch.tensor(kept[200:], dtype=torch.float32)


def windows(series, mean, std):
    series = (series - mean) / std
    x = series.unfold(0, WASH + AHEAD, 1)
    return TensorDataset(x[:, :WASH, None], x[:, -1:])


class EchoState(nn.Module):
    def __init__(self, units=120, radius=0.9):
        super().__init__()
        within = torch.randn(units, units) * (torch.rand(units, units) < 0.1)
        within *= radius / torch.linalg.eigvals(within).abs().max()
        self.register_buffer("within", within)
        self.enter = nn.Linear(1, units)
        nn.init.uniform_(self.enter.weight, -0.5, 0.5)
        self.enter.requires_grad_(False)
        self.readout = nn.Linear(units, 1)

    @torch.no_grad()
    def state(self, x):
        state = x.new_zeros(len(x), len(self.within))
        for t in range(x.shape[1]):
            state = torch.tanh(self.enter(x[:, t]) + state @ self.within.T)
        return state

    def forward(self, x):
        return self.readout(self.state(x))


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    out, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    train = mackey_glass(1500, 0)
    mean, std = train.mean(), train.std()
    model = EchoState()
    optimizer = torch.optim.Adam(model.readout.parameters(), lr=1e-2)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(windows(train, mean, std), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(windows(mackey_glass(400, 1), mean, std), 200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.85),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    train = mackey_glass(1500, 0)
    return r2(model, DataLoader(windows(mackey_glass(600, 2), train.mean(), train.std()), 200))


def fixed():
    return build()
